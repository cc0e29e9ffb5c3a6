/**
 * Inbox and outbox beside SQL written by hand that does the same, and the relay beside `send` alone, on the same servers in
 * the same run, in turns. Prints ratios: above 1 is faster than the other. `--only TEXT` measures pairs with it in their title.
 */
import { parseArgs } from 'node:util'
import { connect } from '@waybill/core'
import { postgres } from '@waybill/postgres'
import pg from 'pg'
import { startBroker } from '../../../conformance/src/bench/brokers/index.ts'
import { tablesByHand } from './by-hand.ts'
import { callers, databasePairs } from './database-pairs.ts'
import { topic } from './orders.ts'
import { ratiosOf } from './pair.ts'
import { relayPair } from './relay-pair.ts'

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } })

await using server = await startBroker('postgres')
await using rabbitmq = await startBroker('rabbitmq')
const pool = new pg.Pool({ connectionString: server.url, max: callers })
const schema = 'bench_waybill'
await pool.query(
  `DROP SCHEMA IF EXISTS bench_hand CASCADE; DROP SCHEMA IF EXISTS ${schema} CASCADE; ${tablesByHand}`,
)
const database = postgres({ pool, schema })
await database.migrate()
const bus = await connect({ url: rabbitmq.url, console: false, topics: [topic] })
const purge = `rabbitmqctl -q list_queues --no-table-headers name | xargs -n 1 rabbitmqctl -q purge_queue`
const empty = async () => rabbitmq.canRestart && (await rabbitmq.exec(['sh', '-c', purge]))
const all = [...databasePairs(pool, database), relayPair(bus, database, empty)]

let sound = true
for (const pair of all.filter(({ title }) => title.includes(values.only))) {
  const { time, cpu, worst, best } = await ratiosOf(pair)
  sound &&= time >= pair.target
  const [of, from, to, processor] = [time, worst, best, cpu].map((ratio) => ratio.toFixed(2))
  console.log(
    `${pair.title}: ${of} (${from} to ${to}; target ${pair.target}), CPU time of the client ${processor}`,
  )
}
await bus.close()
await database.close()
await pool.end()
process.exitCode = sound ? 0 : 1
