import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { PostgresOptions } from './options.ts'
import { postgres } from './postgres.ts'

const { TEST_POSTGRES: url } = process.env

const run = Date.now().toString(36)

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

let pools = 0

function poolOf(max: number): pg.Pool {
  pools += 1
  const pool = new pg.Pool({ connectionString: url, max, application_name: `pool_${run}_${pools}` })
  pool.on('error', () => {})
  closers.push(() => pool.end())
  return pool
}

/** A database over a pool, and how often it was notified. */
function listening(options: PostgresOptions) {
  const database = postgres(options)
  closers.push(() => database.close())
  database.on('failure', () => {})
  const heard = { times: 0 }
  database.onNotification(() => {
    heard.times += 1
  })
  const notify = () => database.query(`SELECT ${database.dialect.notify}`)
  return { database, heard, notify }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe.skipIf(url === undefined)('on TEST_POSTGRES', () => {
  test('all who listen over a pool share one of its connections', async () => {
    const pool = poolOf(2)
    const all = ['a', 'b', 'c', 'c'].map((name) => listening({ pool, schema: `listen_${name}_${run}` }))
    // Told once when they begin to listen.
    await until(() => all.every(({ heard }) => heard.times === 1))
    const [one, ...others] = all
    await one?.notify()
    await until(() => one?.heard.times === 2)
    await others.at(-1)?.notify()
    await until(() => others.slice(1).every(({ heard }) => heard.times === 2))
    expect(others[0]?.heard.times).toBe(1)
    expect(pool.totalCount).toBe(2)
  })

  test('they listen again when that connection is lost, and give it back when the last one has ended', async () => {
    const pool = poolOf(2)
    const all = ['d', 'e'].map((name) => listening({ pool, schema: `listen_${name}_${run}` }))
    await until(() => all.every(({ heard }) => heard.times === 1))
    await all[0]?.database.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()',
      [pool.options.application_name],
    )
    await until(() => all.every(({ heard }) => heard.times === 2))
    for (const { database } of all) await database.close()
    await until(() => pool.totalCount === pool.idleCount)
  })

  test('a database closes although its pool has no connection for it', async () => {
    const pool = poolOf(2)
    const taken = [await pool.connect(), await pool.connect()]
    const { database } = listening({ pool, schema: `listen_f_${run}` })
    await database.close()
    for (const client of taken) client.release()
    await until(() => pool.waitingCount === 0 && pool.idleCount === pool.totalCount)
  })
})
