import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type JobDestination, readings } from './job-contender.ts'
import type { JobScale, JobTurn } from './measure.ts'
import type { JobTask } from './turn.ts'

export interface JobRoundsOptions {
  readonly rounds: number
  readonly scale: JobScale
  /** Where V8 writes a CPU profile of each process. */
  readonly profiles: string | undefined
  readonly report: (line: string) => void
}

export interface JobResult {
  readonly contender: string
  readonly turns: readonly JobTurn[]
}

const program = fileURLToPath(new URL('turn.ts', import.meta.url))
const longestMinutes = 20

/** In each round every contender once, each round beginning with another one. */
export async function runJobRounds(
  contenders: readonly string[],
  destination: JobDestination,
  { rounds, scale, profiles, report }: JobRoundsOptions,
): Promise<readonly JobResult[]> {
  const results = contenders.map((contender) => ({ contender, turns: [] as JobTurn[] }))
  for (let round = 0; round < rounds; round += 1) {
    for (const place of results.keys()) {
      const result = results[(round + place) % results.length]
      if (result === undefined) continue
      const { contender } = result
      await runStep({ contender, destination, step: 'fill', scale }, undefined)
      const turn = await runStep<JobTurn>({ contender, destination, step: 'measure', scale }, profiles)
      result.turns.push(turn)
      const figures = readings.map((reading) => {
        const { perSecond, cpuMicroseconds } = turn.rates[reading]
        return `${reading} ${perSecond.toFixed(0)}/s ${cpuMicroseconds.toFixed(0)} µs`
      })
      report(
        `${scale.waiting} waiting, round ${round + 1}, ${contender}: ${turn.problem ?? figures.join(', ')}`,
      )
    }
  }
  return results
}

function runStep<Result>(task: JobTask, profiles: string | undefined): Promise<Result> {
  const execArgv = ['--conditions=@waybill/source']
  if (profiles !== undefined)
    execArgv.push(
      '--cpu-prof',
      `--cpu-prof-dir=${profiles}`,
      `--cpu-prof-name=jobs-${task.contender}-${Date.now()}.cpuprofile`,
    )
  const child = fork(program, [JSON.stringify(task)], {
    execArgv,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), longestMinutes * 60_000)
  return new Promise((resolve, reject) => {
    let result: Result | undefined
    child.on('message', (message: Result) => {
      result = message
    })
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (result === undefined)
        reject(new Error(`The process of ${task.contender} ended with ${signal ?? code}`))
      else resolve(result)
    })
  })
}
