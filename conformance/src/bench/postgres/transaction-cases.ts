import assert from 'node:assert/strict'
import { type Bus, connect, defineMessage, defineTopic, MessagingError } from '@waybill/core'
import { postgres } from '@waybill/postgres'
import pg from 'pg'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { openDatabase, type Servers } from './servers.ts'

const placed = defineMessage(defineTopic('orders', { groups: ['all'] }), 'order.placed', {
  schema: z.object({ n: z.number() }),
})

/** A database over a pool with settings of the case's own, and a table. */
async function openPool(context: CaseContext, servers: Servers, options: pg.PoolConfig) {
  const { database: admin, schema } = await openDatabase(context, servers)
  await admin.query(`CREATE TABLE ${schema}.notes (n integer PRIMARY KEY)`)
  const pool = new pg.Pool({ connectionString: servers.postgres.url, ...options })
  pool.on('error', () => {})
  context.defer(() => pool.end())
  const notes = async () =>
    (await admin.query<{ n: number }>(`SELECT n FROM ${schema}.notes ORDER BY n`)).map(({ n }) => n)
  return { admin, schema, pool, notes, database: postgres({ pool, schema }) }
}

async function openBus(context: CaseContext): Promise<Bus> {
  const bus = await connect({ url: 'memory:', console: false, topics: [placed.topic] })
  context.defer(() => bus.close())
  return bus
}

export function transactionCases(servers: Servers): readonly Case[] {
  return [
    {
      number: 220,
      title:
        'A transaction that was given up in the middle of a statement never becomes that of the next one',
      async run(context) {
        const { database, schema, pool, notes } = await openPool(context, servers, {
          max: 1,
          query_timeout: 300,
        })
        const slow = database.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${schema}.notes VALUES (1)`)
          await transaction.query('SELECT pg_sleep(2)')
        })
        await assert.rejects(slow, { code: 'timeout', message: /query_timeout/ })
        await context.eventually('a connection of the pool answers', async () => {
          const { rows } = await pool.query('SELECT 1 AS one').catch(() => ({ rows: [] }))
          return rows.length === 1
        })
        await database.transaction((transaction) =>
          transaction.query(`INSERT INTO ${schema}.notes VALUES (2)`),
        )
        assert.deepEqual(await notes(), [2])
      },
    },
    {
      number: 221,
      title: 'A query that nobody waited for and that fails fails its transaction',
      async run(context) {
        const { database, schema, notes } = await openPool(context, servers, { max: 1 })
        const careless = database.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${schema}.notes VALUES (1)`)
          transaction.query('SELECT 1 / 0').catch(() => {})
        })
        await assert.rejects(careless, { code: 'failed', message: /rolled back/ })
        assert.deepEqual(await notes(), [])
      },
    },
    {
      number: 222,
      title: 'A COMMIT that got no answer is told as one whose fate is unknown',
      async run(context) {
        const { admin, database, schema } = await openPool(context, servers, { max: 1 })
        await admin.query(
          `CREATE FUNCTION ${schema}.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$`,
        )
        await admin.query(
          `CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON ${schema}.notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ${schema}.slowly()`,
        )
        let process = 0
        const cut = database.transaction(async (transaction) => {
          const [own] = await transaction.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
          process = own?.pid ?? 0
          await transaction.query(`INSERT INTO ${schema}.notes VALUES (1)`)
        })
        cut.catch(() => {})
        await context.eventually('the transaction commits', async () => {
          const rows = await admin.query(
            `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query = 'COMMIT'`,
            [process],
          )
          return rows.length === 1
        })
        await admin.query('SELECT pg_terminate_backend($1::integer)', [process])
        await assert.rejects(
          cut,
          (error) =>
            MessagingError.is(error) &&
            error.code === 'disconnected' &&
            error.retryable &&
            error.fate === 'unknown' &&
            error.message.startsWith('COMMIT got no answer'),
        )
      },
    },
    {
      number: 223,
      title: 'After a failover a connection to the server that takes no writes any more is replaced',
      async run(context) {
        const { database, schema, pool, notes } = await openPool(context, servers, { max: 1 })
        await pool.query('SET default_transaction_read_only = on')
        const write = (n: number) =>
          database.transaction((transaction) =>
            transaction.query(`INSERT INTO ${schema}.notes VALUES (${n})`),
          )
        await assert.rejects(write(1), { code: 'rejected', message: /read-only/ })
        await write(2)
        assert.deepEqual(await notes(), [2])
      },
    },
    {
      number: 224,
      title: 'A pool without a free connection is told as that, not as a database that is away',
      async run(context) {
        const { database, pool } = await openPool(context, servers, { max: 1, connectionTimeoutMillis: 200 })
        const held = await pool.connect()
        await assert.rejects(
          database.query('SELECT 1'),
          (error) => MessagingError.is(error) && error.code === 'throttled' && /its max/.test(error.message),
        )
        held.release()
        await database.query('SELECT 1')
      },
    },
    {
      number: 225,
      title: 'A relay works with a pool of one connection, and says once that it cannot be woken',
      async run(context) {
        const { database } = await openPool(context, servers, { max: 1 })
        const outbox = database.outbox()
        const relay = outbox.relay(await openBus(context), { pollInterval: 50 })
        const failures: string[] = []
        relay.on('failure', ({ error }) => failures.push(error.message))
        context.defer(() => relay.stop())
        await relay.start()
        await database.transaction((transaction) => outbox.send(transaction, placed, { n: 1 }))
        await context.eventually('the outbox is empty', async () => (await outbox.stats()).waiting === 0)
        assert.equal(failures.length, 1)
        assert.match(failures[0] ?? '', /max of 2 or more/)
      },
    },
  ]
}
