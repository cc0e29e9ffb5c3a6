import assert from 'node:assert/strict'
import type { Case } from '../../../case/case.ts'
import { siblingModule } from '../../../children/sibling-module.ts'
import { bundle } from '../../programs/program.ts'
import { chooseSeed } from '../../programs/random.ts'
import type { Servers, StoreName } from '../servers.ts'
import { runLoad } from './run-load.ts'

/** What `npm run load:jobs` does, in small. */
export function killedUnderLoad(servers: Servers, end: 'redis' | 'no broker', kind: StoreName): Case {
  return {
    number: 608,
    part: `${kind}-${end}`.replace(' ', '-'),
    title: `Of 2,000 jobs over ${end} and in ${kind}, some of which fail, each other has its effect once and the counts add up at every look, though workers are killed`,
    timeoutMs: 180_000,
    async run(context) {
      const name = context
        .unique('load')
        .toLowerCase()
        .replaceAll(/[^a-z0-9]/g, '_')
      const seed = chooseSeed()
      const { kills, lost } = await runLoad({
        program: await bundle(context, siblingModule(import.meta.url, './load-program')),
        store: { kind, name, url: servers[kind].url },
        broker: end === 'redis' ? servers.ends.redis.url : null,
        jobs: 2000,
        seed,
        // Long enough that some are running whenever a worker is killed; without a broker all of it is soon over.
        handleMs: 100,
        killEveryMs: end === 'redis' ? 2000 : 500,
        timeoutMs: 170_000,
      })
      console.log(
        `  2,000 jobs over ${end} and in ${kind}: ${kills} kills, ${lost} attempts lost, seed ${seed}`,
      )
      assert.ok(kills > 0, 'it was over before a worker could be killed')
    },
  }
}
