import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Destination } from './contender.ts'
import type { Readings, Scale, StepResult, Work } from './work.ts'

/** What a child process is told. */
export interface Job {
  readonly letter: string
  readonly step: number
  readonly contender: string
  readonly destination: Destination
  readonly scale: Scale
  readonly earlier: Readings
}

export interface MeasureOptions {
  readonly scale: Scale
  /** Where V8 writes a CPU profile of each process. */
  readonly profiles: string | undefined
  /** Waybill's sources instead of the built packages. */
  readonly source: boolean
}

const child = fileURLToPath(new URL('child.ts', import.meta.url))
const longestMinutes = 20

/** Has a contender do a work once, each step in a fresh process. A step that fails is a problem, not an exception. */
export async function measure(
  work: Work,
  contender: string,
  destination: Destination,
  options: MeasureOptions,
): Promise<StepResult> {
  let readings: Readings = {}
  for (const step of work.steps.keys()) {
    const { scale } = options
    const job: Job = { letter: work.letter, step, contender, destination, scale, earlier: readings }
    const result = await runStep(job, options)
    readings = { ...readings, ...result.readings }
    if (result.problem !== undefined) return { readings, problem: result.problem }
  }
  return { readings }
}

function runStep(job: Job, { profiles, source }: MeasureOptions): Promise<StepResult> {
  const execArgv = ['--disable-warning=TimeoutNegativeWarning']
  if (source) execArgv.push('--conditions=@waybill/source')
  if (profiles !== undefined) {
    const name = `${job.destination.broker}-${job.contender}-${job.letter}${job.step}-${Date.now()}.cpuprofile`
    execArgv.push('--cpu-prof', `--cpu-prof-dir=${profiles}`, `--cpu-prof-name=${name}`)
  }
  const forked = fork(child, [JSON.stringify(job)], {
    execArgv,
    // The emulator takes any credentials, but the SDK wants some.
    env: { AWS_ACCESS_KEY_ID: 'benchmark', AWS_SECRET_ACCESS_KEY: 'benchmark', ...process.env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const timer = setTimeout(() => forked.kill('SIGKILL'), longestMinutes * 60_000)
  return new Promise((resolve) => {
    let result: StepResult | undefined
    forked.on('message', (message: StepResult) => {
      result = message
    })
    forked.on('exit', (code, signal) => {
      clearTimeout(timer)
      resolve(result ?? { readings: {}, problem: `its process ended with ${signal ?? code}` })
    })
  })
}
