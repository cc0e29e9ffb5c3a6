import { PGlite } from '@electric-sql/pglite'
import { connect } from '@waybill/core'
import pg from 'pg'
import { afterAll, describe, expect, test } from 'vitest'
import { explainPostgresError } from './errors.ts'
import { postgres } from './postgres.ts'

const pglite = new PGlite()
afterAll(() => pglite.close())

describe('the options', () => {
  test('name every problem', () => {
    expect(() => postgres({ schema: 'Way Bill', prefix: '1' })).toThrow(/schema: .*\n.*prefix: /)
    expect(() => postgres({})).toThrow('exactly one of url, pool, pglite and queries')
    expect(() => postgres({ url: 'mysql://localhost' })).toThrow('url: expected postgres://')
    expect(() => postgres({ url: 'pglite:', schema: 'pg_catalog' })).toThrow('schema: ')
    expect(() => postgres({ url: 'pglite:', schema: 'a"; DROP TABLE users; --' })).toThrow('schema: ')
    expect(() => postgres({ pool: {} } as never)).toThrow('pool: expected a Pool of pg')
  })

  test('take what pg and PGlite make', async () => {
    const pool = new pg.Pool()
    await postgres({ pool }).close()
    await pool.end()
    const database = postgres({ pglite, schema: 'messaging', prefix: 'x_' })
    await database.migrate()
    await database.close()
    const { rows } = await pglite.query('SELECT count(*)::int AS count FROM messaging.x_slots')
    expect(rows).toEqual([{ count: 64 }])
  })
})

test('a failed statement fails its transaction, even if its error was caught', async () => {
  await using database = postgres({ url: 'pglite:' })
  await database.query('CREATE TABLE accounts (id integer)')
  const careless = database.transaction(async (transaction) => {
    await transaction.query('INSERT INTO accounts VALUES (1)')
    await transaction.query('SELECT 1 / 0').catch(() => {})
  })
  await expect(careless).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringContaining('rolled back'),
  })
  await database.transaction(async (transaction) => {
    await transaction.query('SAVEPOINT a')
    await transaction.query('SELECT 1 / 0').catch(() => {})
    await transaction.query('ROLLBACK TO SAVEPOINT a')
    await transaction.query('INSERT INTO accounts VALUES (2)')
  })
  expect(await database.query('SELECT id FROM accounts')).toEqual([{ id: 2 }])
})

const { TEST_POSTGRES: url } = process.env

test.skipIf(url === undefined)('what was asked before it was closed is answered', async () => {
  const database = postgres(url === undefined ? {} : { url })
  await database.query('SELECT 1')
  const asked = database.query('SELECT 2 AS two')
  await database.close()
  expect(await asked).toEqual([{ two: 2 }])
})

test('a server that is not there is told in one sentence, and may be tried again', async () => {
  await using database = postgres({ url: 'postgres://127.0.0.1:1/shop' })
  await expect(database.migrate()).rejects.toMatchObject({
    code: 'disconnected',
    retryable: true,
    message: expect.stringContaining('does not answer'),
  })
})

test('what a connection fails with is told as it is, and not as a table of somebody else', async () => {
  const failing = () => Promise.reject(new Error('The server does not support SSL connections'))
  const database = postgres({ queries: { query: failing, transaction: failing } })
  for (const asked of [database.migrate(), database.outbox().stats()]) {
    await expect(asked).rejects.toMatchObject({
      code: 'failed',
      message: 'Looking at the schema "waybill": The server does not support SSL connections',
    })
  }
})

test('statements of its own run under READ COMMITTED, whatever transactions have by default', async () => {
  await using own = await PGlite.create()
  await own.query(`SET default_transaction_isolation = 'serializable'`)
  await using database = postgres({ pglite: own })
  await database.migrate()
  const current = `current_setting('transaction_isolation')`
  await database.query(`ALTER TABLE waybill.relays ADD COLUMN isolation text DEFAULT ${current}`)
  await using bus = await connect({ url: 'memory:', console: false })
  await using relay = database.outbox().relay(bus)
  await relay.start()
  expect(await database.query('SELECT isolation FROM waybill.relays')).toEqual([
    { isolation: 'read committed' },
  ])
  const asked = `SELECT ${current} AS isolation`
  expect(await database.query(asked)).toEqual([{ isolation: 'serializable' }])
  expect(await database.transaction((transaction) => transaction.query(asked))).toEqual([
    { isolation: 'serializable' },
  ])
})

test('a read-only database is told in one sentence', async () => {
  await using database = postgres({ url: 'pglite:' })
  await database.migrate()
  const writing = database.transaction(async (transaction) => {
    await transaction.query('SET TRANSACTION READ ONLY')
    await transaction.query('DELETE FROM waybill.marks')
  })
  await expect(writing).rejects.toMatchObject({ code: 'rejected', retryable: true })
})

test('a failed statement fails a transaction of another library too', async () => {
  const rowsOf = (client: Pick<PGlite, 'query'>) => ({
    query: async <Row>(sql: string, parameters: readonly unknown[] = []) =>
      (await client.query<Row>(sql, [...parameters])).rows,
  })
  const database = postgres({
    queries: {
      ...rowsOf(pglite),
      transaction: (work) => pglite.transaction((transaction) => work(rowsOf(transaction))),
    },
  })
  await database.query('CREATE TABLE accounts (id integer)')
  const careless = database.transaction(async (transaction) => {
    await transaction.query('INSERT INTO accounts VALUES (1)')
    await transaction.query('SELECT 1 / 0').catch(() => {})
  })
  await expect(careless).rejects.toMatchObject({ code: 'failed' })
  await expect(database.query('SELECT * FROM nowhere')).rejects.toMatchObject({ code: 'topology-missing' })
})

test('a transaction with more locks than there is room for is told what to do', () => {
  const refusal = Object.assign(new Error('out of shared memory'), { code: '53200' })
  expect(explainPostgresError(refusal)).toMatchObject({
    code: 'throttled',
    message: expect.stringContaining('fewer keys in one transaction'),
  })
})

test('a connection that the database ends because it takes too long is told as one that is lost', () => {
  for (const code of ['25P03', '25P04', '57P05']) {
    const ended = Object.assign(new Error('terminating connection due to a timeout'), { code })
    expect(explainPostgresError(ended)).toMatchObject({ code: 'disconnected', retryable: true })
  }
})

test('a text that cannot be stored is told in one sentence', () => {
  const refusal = Object.assign(new Error('invalid byte sequence'), { code: '22021' })
  expect(explainPostgresError(refusal)).toMatchObject({
    code: 'invalid-message',
    retryable: false,
    message: expect.stringContaining('NUL'),
  })
})
