import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { type Order, OrderPlaced, orderSchema } from './orders.ts'

/**
 * What a careful engineer writes without Waybill. The inbox has a key of five columns, marks that expire, and an index to find
 * those by. The outbox has a share of the work for each row, by which several relays can divide it without breaking the order of a
 * key, and an index to read a share by.
 */
export const tablesByHand = `
CREATE SCHEMA bench_hand;
CREATE TABLE bench_hand.effects (n integer);
CREATE TABLE bench_hand.inbox (message_group text, topic text, type text, source text, id text,
  marked_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL,
  PRIMARY KEY (message_group, topic, type, source, id));
CREATE INDEX ON bench_hand.inbox (expires_at);
CREATE TABLE bench_hand.outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, share smallint NOT NULL, topic text NOT NULL,
  type text NOT NULL, version integer NOT NULL, id text NOT NULL, key text NOT NULL, source text NOT NULL, data text NOT NULL,
  stored_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON bench_hand.outbox (share, position);
`

// A mark that has expired is none.
const mark = `INSERT INTO bench_hand.inbox AS existing (message_group, topic, type, source, id, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + interval '7 days')
ON CONFLICT (message_group, topic, type, source, id) DO UPDATE SET marked_at = now(), expires_at = excluded.expires_at
WHERE existing.expires_at <= now()`

// In one statement: the order of a key's commits needs the lock before the position is drawn, and relays have to be woken.
const storeOne = `WITH before AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($5, 0)), pg_notify('hand', ''))
INSERT INTO bench_hand.outbox (share, topic, type, version, id, key, source, data)
SELECT hashtext($5) & 63, $1, $2, $3, $4, $5, $6, $7 FROM before`

// The locks are taken in one order by everybody, or two batches could wait for each other.
const storeMany = `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest($5::text[]) AS key),
  before AS MATERIALIZED (SELECT count(*), pg_notify('hand', '') FROM locked)
INSERT INTO bench_hand.outbox (share, topic, type, version, source, id, key, data)
SELECT hashtext(m.key) & 63, $1, $2, $3, $4, m.id, m.key, m.data
FROM before, unnest($6::text[], $7::text[], $8::text[]) WITH ORDINALITY AS m(id, key, data, n) ORDER BY m.n`

export async function inTransaction(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<void>) {
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

/** Whether the message is new. */
export async function markByHand(client: pg.PoolClient, id: string): Promise<boolean> {
  const parameters = ['bench', OrderPlaced.topic.name, OrderPlaced.type, 'bench', id]
  const { rowCount } = await client.query(mark, parameters)
  return rowCount === 1
}

export async function storeByHand(client: pg.PoolClient, order: Order): Promise<void> {
  const { type, version, topic } = OrderPlaced
  const data = JSON.stringify(orderSchema.parse(order))
  await client.query(storeOne, [topic.name, type, version, randomUUID(), order.orderId, 'bench', data])
}

export async function storeManyByHand(client: pg.PoolClient, orders: readonly Order[]): Promise<void> {
  const { type, version, topic } = OrderPlaced
  const data = orders.map((order) => JSON.stringify(orderSchema.parse(order)))
  const keys = orders.map(({ orderId }) => orderId)
  const locks = [...new Set(keys)].sort()
  const ids = orders.map(() => randomUUID())
  await client.query(storeMany, [topic.name, type, version, 'bench', locks, ids, keys, data])
}
