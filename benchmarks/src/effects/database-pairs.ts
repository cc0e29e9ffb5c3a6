import { randomUUID } from 'node:crypto'
import type { Database } from '@waybill/postgres'
import type pg from 'pg'
import { inTransaction, markByHand, storeByHand, storeManyByHand } from './by-hand.ts'
import { OrderPlaced, orderOf, topic } from './orders.ts'
import { callMany, measured, type Pair } from './pair.ts'

export const callers = 8
const transactions = 250
const batches = 25
const batchSize = 100
// Short, so that both sides of a round find the machine as busy.
const many = { rounds: 61, warmUp: 20 }

const effect = 'INSERT INTO bench_hand.effects VALUES ($1)'

/**
 * Both sides of each pair take a connection of the same pool and make the same four round trips: BEGIN, an effect, the mark or the
 * messages, COMMIT. Both check data by the same schema, write JSON, make ids, take a lock on each key, and wake relays.
 */
export function databasePairs(pool: pg.Pool, database: Database): readonly Pair[] {
  const inbox = database.inbox()
  const outbox = database.outbox({ source: 'bench' })
  const batchOf = (n: number) =>
    Array.from({ length: batchSize }, (_, index) => orderOf(n * batchSize + index))
  const turn = (count: number, work: (n: number) => Promise<unknown>) => () =>
    measured(() => callMany(count, callers, work))
  return [
    {
      title: 'inbox beside SQL by hand',
      target: 0.9,
      ...many,
      ours: turn(transactions, (n) => {
        const { type } = OrderPlaced
        const mark = { group: 'bench', topic: topic.name, type, source: 'bench', id: randomUUID() }
        return inbox.once({ idempotencyKey: mark }, (transaction) => transaction.query(effect, [n]))
      }),
      theirs: turn(transactions, (n) =>
        inTransaction(pool, async (client) => {
          if (await markByHand(client, randomUUID())) await client.query(effect, [n])
        }),
      ),
    },
    {
      title: 'outbox, one message a transaction, beside SQL by hand',
      target: 0.9,
      ...many,
      ours: turn(transactions, (n) =>
        database.transaction(async (transaction) => {
          await transaction.query(effect, [n])
          await outbox.send(transaction, OrderPlaced, orderOf(n))
        }),
      ),
      theirs: turn(transactions, (n) =>
        inTransaction(pool, async (client) => {
          await client.query(effect, [n])
          await storeByHand(client, orderOf(n))
        }),
      ),
    },
    {
      title: `outbox, ${batchSize} messages a transaction, beside SQL by hand`,
      target: 0.9,
      ...many,
      ours: turn(batches, (n) =>
        database.transaction(async (transaction) => {
          await transaction.query(effect, [n])
          const messages = batchOf(n).map((data) => ({ definition: OrderPlaced, data }))
          await outbox.sendAll(transaction, messages)
        }),
      ),
      theirs: turn(batches, (n) =>
        inTransaction(pool, async (client) => {
          await client.query(effect, [n])
          await storeManyByHand(client, batchOf(n))
        }),
      ),
    },
  ]
}
