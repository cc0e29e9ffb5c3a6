import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { sqlite } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'waybill-sqlite-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('the options name every problem', () => {
  expect(() => sqlite({ path: '', prefix: 'A', busyTimeout: -1 })).toThrow(
    /path: .*\n.*prefix: .*\n.*busyTimeout: /,
  )
  expect(() => sqlite({ path: 'x', prefix: 'a"; DROP TABLE users; --' })).toThrow('prefix: ')
})

test('a database in memory lasts as long as it is open', async () => {
  await using database = sqlite({ path: ':memory:' })
  await database.migrate()
  expect(await database.migrate()).toEqual([])
})

test('a file that is no database is told in one sentence', async () => {
  const path = join(folder, 'letter.txt')
  writeFileSync(path, 'Dear Sir or Madam, this is a letter and no database, but long enough to be one.')
  await using database = sqlite({ path })
  await expect(database.migrate()).rejects.toMatchObject({
    code: 'topology-mismatch',
    message: expect.stringContaining('no SQLite database'),
  })
})

test('a file that cannot be opened is told in one sentence', async () => {
  await using database = sqlite({ path: join(folder, 'missing', 'shop.db') })
  await expect(database.migrate()).rejects.toMatchObject({ code: 'connection-failed', retryable: true })
})

test('another process that writes is waited for, as long as allowed', async () => {
  const path = join(folder, 'shared.db')
  await using database = sqlite({ path })
  await using impatient = sqlite({ path, busyTimeout: 20 })
  await database.migrate()
  const script = `
    const { DatabaseSync } = require('node:sqlite')
    const database = new DatabaseSync(${JSON.stringify(path)})
    database.exec('BEGIN IMMEDIATE')
    console.log('begun')
    process.stdin.once('data', () => { database.exec('COMMIT'); process.exit() })
  `
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  const remove = 'DELETE FROM waybill_marks'
  await expect(impatient.query(remove)).rejects.toMatchObject({ code: 'timeout', retryable: true })
  await expect(impatient.transaction((transaction) => transaction.query(remove))).rejects.toMatchObject({
    code: 'timeout',
  })
  const waiting = database.transaction((transaction) => transaction.query(remove))
  child.stdin.write('end\n')
  expect(await waiting).toEqual([])
})

test('a transaction that SQLite has rolled back by itself does nothing more', async () => {
  await using database = sqlite({ path: ':memory:' })
  await database.query('CREATE TABLE accounts (id integer PRIMARY KEY)')
  const careless = database.transaction(async (transaction) => {
    await transaction.query('INSERT INTO accounts VALUES (1)')
    await transaction.query('INSERT OR ROLLBACK INTO accounts VALUES (1)').catch(() => {})
    await transaction.query('INSERT INTO accounts VALUES (2)')
  })
  await expect(careless).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringContaining('rolled the transaction back'),
  })
  expect(await database.query('SELECT id FROM accounts')).toEqual([])
})
