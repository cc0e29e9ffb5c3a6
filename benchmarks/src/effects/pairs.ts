import { randomUUID } from 'node:crypto'
import { type Bus, connect, type DataOf, defineMessage, defineTopic } from '@waybill/core'
import { type Database, type Outbox, postgres } from '@waybill/postgres'
import pg from 'pg'
import { z } from 'zod'

/** Two ways to do the same; each resolves with the seconds it took. */
export interface Pair {
  readonly title: string
  readonly target: number
  ours(): Promise<number>
  theirs(): Promise<number>
}

const callers = 8
const transactions = 2000
const batches = 100
const batchSize = 100
const relayed = 20_000

const topic = defineTopic('bench-orders', { ordered: true, groups: ['bench'] })
const OrderPlaced = defineMessage(topic, 'order.placed', {
  schema: z.object({ orderId: z.string(), total: z.number(), lines: z.array(z.string()) }),
  key: ({ orderId }) => orderId,
})
type Order = DataOf<typeof OrderPlaced>

const orderOf = (n: number): Order => ({
  orderId: `o-${n % 1000}`,
  total: n,
  lines: ['pen', 'paper', 'a longer line that makes it an order of usual size'],
})

/** Calls `work` so many times, from some callers at once; resolves with the seconds. */
async function timed(count: number, atOnce: number, work: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0
  const caller = async () => {
    for (let n = next++; n < count; n = next++) await work(n)
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, caller))
  return (performance.now() - startedAt) / 1000
}

const byHand = `
CREATE SCHEMA hand;
CREATE TABLE hand.effects (n integer);
CREATE TABLE hand.inbox (message_group text, topic text, type text, source text, id text, expires_at timestamptz,
  PRIMARY KEY (message_group, topic, type, source, id));
CREATE INDEX ON hand.inbox (expires_at);
CREATE TABLE hand.outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text, type text, id text,
  key text, source text, data text, stored_at timestamptz DEFAULT now());
`

// In one statement: the order of a key's commits needs the lock before the id is drawn, and somebody has to be woken.
const storeOne = `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($4, 0))),
  notified AS MATERIALIZED (SELECT pg_notify('hand', ''))
INSERT INTO hand.outbox (topic, type, id, key, source, data)
SELECT $1, $2, $3, $4, $5, $6 FROM (SELECT count(*) FROM locked) AS a, (SELECT count(*) FROM notified) AS b`
const storeMany = `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest($5::text[]) AS key),
  notified AS MATERIALIZED (SELECT pg_notify('hand', ''))
INSERT INTO hand.outbox (topic, type, source, id, key, data)
SELECT $1, $2, $3, m.id, m.key, m.data FROM (SELECT count(*) FROM locked) AS a, (SELECT count(*) FROM notified) AS b,
  unnest($4::text[], $6::text[], $7::text[]) AS m(id, key, data)`

export async function pairs(url: string, brokerUrl: string) {
  const pool = new pg.Pool({ connectionString: url, max: callers })
  await pool.query(byHand)
  const database = postgres({ pool })
  await database.migrate()
  const inbox = database.inbox()
  const outbox = database.outbox({ source: 'bench' })
  const bus = await connect({ url: brokerUrl, console: false, topics: [topic] })

  const inTransaction = async (work: (client: pg.PoolClient) => Promise<void>) => {
    const client = await pool.connect()
    try {
      await client.query('BEGIN')
      await work(client)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK')
      throw error
    } finally {
      client.release()
    }
  }
  const markOf = () => ({
    group: 'bench',
    topic: 'orders',
    type: 'order.placed',
    source: 'bench',
    id: randomUUID(),
  })
  const effect = 'INSERT INTO hand.effects VALUES ($1)'
  const batchOf = (n: number) =>
    Array.from({ length: batchSize }, (_, index) => orderOf(n * batchSize + index))

  const all: readonly Pair[] = [
    {
      title: 'inbox beside SQL by hand',
      target: 0.9,
      ours: () =>
        timed(transactions, callers, (n) =>
          inbox.once({ idempotencyKey: markOf() }, (transaction) => transaction.query(effect, [n])),
        ),
      theirs: () =>
        timed(transactions, callers, (n) =>
          inTransaction(async (client) => {
            const { group, topic: name, type, source, id } = markOf()
            const { rowCount } = await client.query(
              `INSERT INTO hand.inbox VALUES ($1, $2, $3, $4, $5, now() + interval '7 days') ON CONFLICT DO NOTHING`,
              [group, name, type, source, id],
            )
            if (rowCount === 1) await client.query(effect, [n])
          }),
        ),
    },
    {
      title: 'outbox, one message a transaction, beside SQL by hand',
      target: 0.9,
      ours: () =>
        timed(transactions, callers, (n) =>
          database.transaction(async (transaction) => {
            await transaction.query(effect, [n])
            await outbox.send(transaction, OrderPlaced, orderOf(n))
          }),
        ),
      theirs: () =>
        timed(transactions, callers, (n) =>
          inTransaction(async (client) => {
            await client.query(effect, [n])
            const order = orderOf(n)
            await client.query(storeOne, [
              ...[
                'bench-orders',
                'order.placed',
                randomUUID(),
                order.orderId,
                'bench',
                JSON.stringify(order),
              ],
            ])
          }),
        ),
    },
    {
      title: `outbox, ${batchSize} messages a transaction, beside SQL by hand`,
      target: 0.9,
      ours: () =>
        timed(batches, callers, (n) =>
          database.transaction(async (transaction) => {
            await transaction.query(effect, [n])
            await outbox.sendAll(
              transaction,
              batchOf(n).map((data) => ({ definition: OrderPlaced, data })),
            )
          }),
        ),
      theirs: () =>
        timed(batches, callers, (n) =>
          inTransaction(async (client) => {
            await client.query(effect, [n])
            const orders = batchOf(n)
            const keys = orders.map(({ orderId }) => orderId)
            await client.query(storeMany, [
              ...['bench-orders', 'order.placed', 'bench', orders.map(() => randomUUID())],
              ...[keys.toSorted(), keys, orders.map((order) => JSON.stringify(order))],
            ])
          }),
        ),
    },
    relayPair(bus, database, outbox),
  ]
  return {
    all,
    async close() {
      await bus.close()
      await database.close()
      await pool.end()
    },
  }
}

function relayPair(bus: Bus, database: Database, outbox: Outbox): Pair {
  const producer = bus.producer({ source: 'bench' })
  return {
    title: 'relay beside send alone',
    target: 0.5,
    async ours() {
      await database.query(`DELETE FROM ${database.dialect.table('outbox')}`)
      for (let n = 0; n < relayed / 1000; n += 1) {
        const orders = Array.from({ length: 1000 }, (_, index) => orderOf(n * 1000 + index))
        await database.transaction((transaction) =>
          outbox.sendAll(
            transaction,
            orders.map((data) => ({ definition: OrderPlaced, data })),
          ),
        )
      }
      const relay = outbox.relay(bus)
      const done = Promise.withResolvers<void>()
      let left = relayed
      relay.on('relayed', ({ messages }) => {
        left -= messages
        if (left <= 0) done.resolve()
      })
      const startedAt = performance.now()
      await relay.start()
      await done.promise
      const seconds = (performance.now() - startedAt) / 1000
      await relay.stop()
      return seconds
    },
    theirs: () => timed(relayed, 256, (n) => producer.send(OrderPlaced, orderOf(n))),
  }
}
