import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { redisJobStore } from '@waybill/adapter-redis/jobs'
import { type Bus, connect } from '@waybill/core'
import { type Clock, systemClock } from '@waybill/core/driver'
import type { Database } from '@waybill/database'
import { postgres } from '@waybill/postgres'
import { sqlite } from '@waybill/sqlite'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { databaseJobStore } from './database/database-job-store.ts'
import { type Jobs, openJobs } from './jobs.ts'
import type { JobsOptions } from './jobs-options.ts'
import { memoryJobStore } from './memory/memory-job-store.ts'
import type { JobStore } from './store.ts'

export interface TestJobs {
  readonly jobs: Jobs
  readonly store: JobStore
  readonly bus: Bus
  /** Undefined: the store is in memory. */
  readonly database: Database | undefined
  /** Other jobs over the same store, as another process has them. */
  another(options?: Partial<JobsOptions>): Promise<Jobs>
}

export interface TestStore {
  readonly name: string
  /** Workers get jobs by messages; otherwise they take them from the store. */
  readonly overBus: boolean
  open(options?: Partial<JobsOptions>): Promise<TestJobs>
}

type Make = (id: string) => {
  readonly store: JobStore & Partial<AsyncDisposable>
  readonly database: Database | undefined
}

// One for all files, since it takes a second to start; it ends with the process.
let pglite: PGlite | undefined
let count = 0

/** URLs of servers whose stores are tested as well. */
const { TEST_REDIS: redisUrl, TEST_POSTGRES: postgresUrl } = process.env

// Those of another run are not there.
const run = Date.now().toString(36)

/** Every store, with jobs over a bus in memory, and without a bus. What is opened ends after each test. */
export function stores(): readonly TestStore[] {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-jobs-'))
  const closers: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    pglite ??= new PGlite()
    await pglite.waitReady
  }, 120_000)
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const testStore = (name: string, make: Make, overBus: boolean): TestStore => ({
    name: overBus ? name : `${name} without a bus`,
    overBus,
    async open(options = {}) {
      count += 1
      const { store, database } = make(`jobs_${count}`)
      closers.push(async () => store[Symbol.asyncDispose]?.())
      if (database !== undefined) {
        await database.migrate()
        closers.push(() => database.close())
      }
      const bus = await connect({ url: 'memory:', console: false })
      closers.push(() => bus.close({ timeout: 0 }))
      const another = async (more: Partial<JobsOptions> = {}) => {
        const jobs = openJobs({ ...(overBus && { bus }), store, poll: 50, ...options, ...more })
        closers.push(() => jobs.close())
        return jobs
      }
      return { jobs: await another(), store, bus, database, another }
    },
  })
  const overRedis = (url: string) => (id: string) => ({
    store: redisJobStore(url, { store: `${id}_${run}` }),
    database: undefined,
  })
  const overPostgres = (url: string) => (id: string) =>
    overDatabase(postgres({ url, schema: `${id}_${run}` }))
  const overDatabase = (database: Database) => ({ store: databaseJobStore(database), database })
  const makers: readonly (readonly [name: string, make: Make])[] = [
    ['memory', () => ({ store: memoryJobStore(), database: undefined })],
    ['SQLite', (id) => overDatabase(sqlite({ path: join(folder, `${id}.db`) }))],
    [
      'PGlite',
      (id) => {
        pglite ??= new PGlite()
        return overDatabase(postgres({ pglite, schema: id }))
      },
    ],
    ...(redisUrl === undefined ? [] : [['Redis', overRedis(redisUrl)] as const]),
    ...(postgresUrl === undefined ? [] : [['PostgreSQL', overPostgres(postgresUrl)] as const]),
  ]
  return [true, false].flatMap((overBus) => makers.map(([name, make]) => testStore(name, make, overBus)))
}

/** Waits until a condition holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A store whose calls go through `around`, which may fail, or answer late. */
export function storeAround(
  store: JobStore,
  around: (name: string, call: () => Promise<unknown>) => Promise<unknown>,
): JobStore {
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      if (name === 'onChange') return value.bind(target)
      return (...parameters: unknown[]) =>
        around(String(name), async () => await value.apply(target, parameters))
    },
  })
}

/** The process's clock, but that it waits for a hundredth of the time only. */
export const hastyClock: Clock = {
  ...systemClock,
  after: (delayMs, callback, options) => systemClock.after(delayMs / 100, callback, options),
}
