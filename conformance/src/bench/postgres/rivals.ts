import assert from 'node:assert/strict'
import { EventStore, Projection } from '@waybill/database'
import type { Case } from '../../case/case.ts'
import { siblingModule } from '../../children/sibling-module.ts'
import { bundle, Program } from '../programs/program.ts'
import { countingOver } from './counting.ts'
import { rounds } from './rival-work.ts'
import { seenIn } from './seen.ts'
import { openDatabase, type Servers } from './servers.ts'

const processes = 2

export function rivals(servers: Servers): Case {
  return {
    number: 215,
    title:
      'Processes that meet at a projection, a saga and marks have each effect once, though the projection begins again from zero meanwhile',
    timeoutMs: 180_000,
    async run(context) {
      const { database, schema } = await openDatabase(context, servers)
      const seen = seenIn(schema)
      await seen.create(database)
      await database.query(`CREATE TABLE "${schema}".won (n integer)`)
      const path = await bundle(context, siblingModule(import.meta.url, 'rival-program'))
      const programs = Array.from(
        { length: processes },
        () => new Program(path, { url: servers.postgres.url, schema }),
      )
      context.defer(() => Promise.all(programs.map((program) => program.kill())))
      const projection = new Projection(new EventStore(database), seen.definition)
      let areWriting = true
      const writing = Promise.all(programs.map((program) => program.ready)).finally(() => {
        areWriting = false
      })
      let rebuilds = 0
      while (areWriting || rebuilds === 0) {
        const known = await seen.count(database)
        // Each time somewhat later, so that it meets them at all stages.
        if (known > rebuilds * 10) {
          await projection.rebuild()
          rebuilds += 1
        }
        await context.quiet(20)
      }
      await writing
      await context.eventually(
        'every event is applied, after all',
        async () => (await seen.count(database)) === rounds * processes,
        60_000,
      )
      const { data, version } = (await countingOver(database).state()) ?? {}
      assert.deepEqual([data?.count, version], [rounds, rounds + 1])
      const won = await database.query<{ n: number }>(`SELECT n FROM "${schema}".won ORDER BY n`)
      assert.deepEqual(
        won.map(({ n }) => n),
        Array.from({ length: rounds }, (_, n) => n),
      )
      console.log(`  ${processes} processes, ${rounds} rounds each, ${rebuilds} rebuilds from zero meanwhile`)
    },
  }
}
