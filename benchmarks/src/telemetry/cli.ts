/**
 * What telemetry costs: the same work with and without it, in processes of their own, in turns. Prints ratios of time to that
 * of a bus without telemetry, the median of the ratios within the rounds. On memory unless a broker's URL is given, so that
 * nothing but this process is measured: over a broker the ratios are smaller.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { median } from '../statistics.ts'
import { contenders, works } from './contenders.ts'

const rounds = 7
const run = promisify(execFile)
const program = fileURLToPath(new URL('run.ts', import.meta.url))
const [url = 'memory:'] = process.argv.slice(2)
const secondsSchema = z.record(z.enum(works), z.number())

async function secondsOf(contender: string): Promise<z.output<typeof secondsSchema>> {
  const args = ['--conditions=@waybill/source', program, contender, url]
  const { stdout } = await run(process.execPath, args)
  return secondsSchema.parse(JSON.parse(stdout))
}

const ratios = new Map<string, number[]>()
for (let round = 0; round < rounds; round += 1) {
  // Each round begins with another one.
  const order = contenders.map((_, index) => contenders[(index + round) % contenders.length] ?? 'bare')
  const taken = new Map<string, z.output<typeof secondsSchema>>()
  for (const contender of order) taken.set(contender, await secondsOf(contender))
  const bare = taken.get('bare')
  for (const [contender, seconds] of taken) {
    for (const work of works) {
      const key = `${work}, ${contender}`
      const ratio = seconds[work] / (bare?.[work] ?? Number.NaN)
      ratios.set(key, [...(ratios.get(key) ?? []), ratio])
    }
  }
}
for (const work of works) {
  for (const contender of contenders.filter((each) => each !== 'bare')) {
    const all = ratios.get(`${work}, ${contender}`) ?? []
    const range = `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`
    console.log(`${work}, ${contender}: ${median(all).toFixed(2)} of bare (${range})`)
  }
}
