import { MessagingError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { databases } from './databases.fixture.ts'

describe.each(databases())('a database on $name', ({ name, open, ready }) => {
  test('takes parameters by their number, in any order, and none within quotes', async () => {
    const database = open()
    const sql = `SELECT $2 AS b, $1 AS a, $2 AS again, '$1' AS quoted, 1 AS "$2" -- $3`
    const parameters = name === 'PGlite' ? sql.replace(/ \$(\d) AS/g, ' $$$1::text AS') : sql
    expect(await database.query(parameters, ['one', 'two'])).toEqual([
      { b: 'two', a: 'one', again: 'two', quoted: '$1', $2: 1 },
    ])
  })

  test('makes its tables once, and again does nothing', async () => {
    const database = open()
    expect(await database.migrate()).toEqual(['marks', 'outbox', 'sagas', 'event-store', 'jobs'])
    expect(await database.migrate()).toEqual([])
    const [slots] = await database.query<{ count: number }>(
      `SELECT count(*) AS count FROM ${database.dialect.table('slots')}`,
    )
    expect(Number(slots?.count)).toBe(64)
  })

  test('makes them once when many do it at the same moment', async () => {
    const database = open()
    const applied = await Promise.all([database.migrate(), database.migrate(), database.migrate()])
    expect(applied.flat()).toEqual(['marks', 'outbox', 'sagas', 'event-store', 'jobs'])
  })

  test('takes its migrations as plain SQL of another tool', async () => {
    const database = open()
    for (const { sql } of database.migrations())
      for (const statement of sql.split(/;\n/).filter((each) => each.trim() !== ''))
        await database.query(statement)
    expect(await database.migrate()).toEqual([])
  })

  test('leaves nothing of a migration that fails', async () => {
    const database = open()
    const { preparations, table } = database.dialect
    for (const statement of preparations) await database.query(statement)
    await database.query(`CREATE TABLE ${table('outbox')} (id integer)`)
    await expect(database.migrate()).rejects.toMatchObject({
      code: 'topology-mismatch',
      message: expect.stringMatching(/Step "outbox".*already exists.*Use another schema or prefix/i),
    })
    await expect(database.query(`SELECT * FROM ${table('marks')}`)).rejects.toMatchObject({
      code: 'topology-missing',
    })
  })

  test('refuses a schema that is newer than it can use, but not one that is only newer', async () => {
    const database = await ready()
    const insert = `INSERT INTO ${database.dialect.table('migrations')} (version, name, works_from) VALUES ($1, $2, $3)`
    const { length } = database.migrations()
    await database.query(insert, [length + 1, 'later', 1])
    expect(await database.migrate()).toEqual([])
    await database.query(insert, [length + 2, 'much-later', length + 2])
    await expect(database.migrate()).rejects.toMatchObject({
      code: 'topology-mismatch',
      message: expect.stringContaining('Update the package'),
    })
  })

  test("refuses another tool's table of migrations, for use and for migrating", async () => {
    const database = open()
    const { preparations, table } = database.dialect
    for (const statement of preparations) await database.query(statement)
    await database.query(`CREATE TABLE ${table('migrations')} (id integer, migration text, batch integer)`)
    const refusal = {
      code: 'topology-mismatch',
      message: expect.stringContaining("has a table migrations that is not Waybill's"),
    }
    await expect(database.migrate()).rejects.toMatchObject(refusal)
    await expect(database.outbox().stats()).rejects.toMatchObject(refusal)
  })

  test('refuses tables that are not its own', async () => {
    const database = await ready()
    await database.query(
      `UPDATE ${database.dialect.table('migrations')} SET name = 'users' WHERE version = 1`,
    )
    await expect(database.migrate()).rejects.toMatchObject({
      code: 'topology-mismatch',
      message: expect.stringContaining('step 1 is "users"'),
    })
  })

  test('commits what a transaction did, or rolls it back', async () => {
    const database = open()
    await database.query('CREATE TABLE IF NOT EXISTS accounts (id integer PRIMARY KEY)')
    await database.query('DELETE FROM accounts')
    const result = await database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO accounts (id) VALUES ($1)', [1])
      return 'done'
    })
    expect(result).toBe('done')
    const failing = database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO accounts (id) VALUES ($1)', [2])
      throw new RangeError('no funds')
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect(await database.query('SELECT id FROM accounts')).toEqual([{ id: 1 }])
  })

  test('leaves errors of a statement as its client tells them', async () => {
    const database = open()
    await database.query('CREATE TABLE IF NOT EXISTS names (id integer PRIMARY KEY)')
    await database.query('INSERT INTO names (id) VALUES (1)')
    const again = database.query('INSERT INTO names (id) VALUES (1)')
    await expect(again).rejects.toThrow(/unique/i)
    await expect(again).rejects.not.toSatisfy(MessagingError.is)
    await database.query('DELETE FROM names')
  })

  test('refuses a query of a transaction that has ended', async () => {
    const database = open()
    const ended = await database.transaction(async (transaction) => ({ transaction }))
    await expect(ended.transaction.query('SELECT 1')).rejects.toMatchObject({
      code: 'closed',
      message: expect.stringContaining('has ended'),
    })
  })

  test('waits for queries that nobody waited for, before it commits', async () => {
    const database = open()
    await database.query('CREATE TABLE IF NOT EXISTS notes (id integer PRIMARY KEY)')
    await database.query('DELETE FROM notes')
    await database.transaction(async (transaction) => {
      void transaction.query('INSERT INTO notes (id) VALUES (1)')
    })
    expect(await database.query('SELECT id FROM notes')).toEqual([{ id: 1 }])
  })

  test.each(['COMMIT', ' rollback;', '-- done\nEND', '/* no */ BEGIN', 'Start Transaction', 'ABORT'])(
    'refuses %j within a transaction, and leaves nothing of it',
    async (statement) => {
      const database = open()
      await database.query('CREATE TABLE IF NOT EXISTS halves (id integer PRIMARY KEY)')
      const ending = database.transaction(async (transaction) => {
        await transaction.query('INSERT INTO halves (id) VALUES (1)')
        await transaction.query(statement)
      })
      await expect(ending).rejects.toMatchObject({
        code: 'rejected',
        message: expect.stringContaining('throw to roll back'),
      })
      expect(await database.query('SELECT id FROM halves')).toEqual([])
    },
  )

  test('takes savepoints', async () => {
    const database = open()
    await database.query('CREATE TABLE IF NOT EXISTS points (id integer PRIMARY KEY)')
    await database.query('DELETE FROM points')
    await database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO points (id) VALUES (1)')
      await transaction.query('SAVEPOINT a')
      await transaction.query('INSERT INTO points (id) VALUES (2)')
      await transaction.query('ROLLBACK TRANSACTION TO SAVEPOINT a')
      await transaction.query('RELEASE a')
    })
    expect(await database.query('SELECT id FROM points')).toEqual([{ id: 1 }])
  })

  test('refuses a query beside the transaction that it would wait for', async () => {
    const database = open()
    const nested = database.transaction(() => database.query('SELECT 1'))
    await expect(nested).rejects.toMatchObject({ code: 'rejected' })
    await expect(database.transaction(() => database.transaction(async () => 1))).rejects.toThrow(
      'one connection',
    )
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('runs transactions one after the other', async () => {
    const database = open()
    await database.query('CREATE TABLE IF NOT EXISTS counters (n integer)')
    await database.query('DELETE FROM counters')
    await database.query('INSERT INTO counters (n) VALUES (0)')
    const increment = () =>
      database.transaction(async (transaction) => {
        const [row] = await transaction.query<{ n: number }>('SELECT n FROM counters')
        await transaction.query('UPDATE counters SET n = $1', [(row?.n ?? 0) + 1])
      })
    await Promise.all(Array.from({ length: 20 }, increment))
    expect(await database.query('SELECT n FROM counters')).toEqual([{ n: 20 }])
  })

  test('is of no use once it is closed', async () => {
    const database = open()
    await database.query('SELECT 1')
    await database.close()
    await database.close()
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'closed' })
  })
})
