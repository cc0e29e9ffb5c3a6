// Does what another process does at the same time: writes and projects the same streams, takes the same messages of a saga, and
// wants the same marks. Says `ready` when it has done so; its projection goes on until it is killed.
import { EventStore, Projection } from '@waybill/database'
import { postgres } from '@waybill/postgres'
import { z } from 'zod'
import { countingOver } from './counting.ts'
import { markOf, rounds } from './rival-work.ts'
import { happened, seenIn } from './seen.ts'

const { url, schema } = z
  .object({ url: z.string(), schema: z.string() })
  .parse(JSON.parse(process.argv[2] ?? 'null'))

const database = postgres({ url, schema })
const events = new EventStore(database)
new Projection(events, seenIn(schema).definition, { batch: 5, poll: 5 }).start()
const counter = countingOver(database)
const store = database.idempotencyStore()
await counter.start(`started-${process.pid}`)
for (let n = 0; n < rounds; n += 1) {
  await Promise.all([
    database.transaction((transaction) => events.append(transaction, `s-${n % 5}`, [happened(n)])),
    counter.raise(`raised-${n}`),
    store.begin(markOf(n), 600_000).then(async (state) => {
      if (state.state === 'started') await database.query(`INSERT INTO "${schema}".won VALUES ($1)`, [n])
    }),
  ])
}
process.stdout.write('ready\n')
