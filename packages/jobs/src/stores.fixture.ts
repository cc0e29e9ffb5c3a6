import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { redisJobStore } from '@waybill/adapter-redis/jobs'
import { type Bus, connect } from '@waybill/core'
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
  open(options?: Partial<JobsOptions>): Promise<TestJobs>
}

// One for all files, since it takes a second to start; it ends with the process.
let pglite: PGlite | undefined
let count = 0

/** URLs of servers whose stores are tested as well. */
const { TEST_REDIS: redisUrl, TEST_POSTGRES: postgresUrl } = process.env

// Those of another run are not there.
const run = Date.now().toString(36)

/** Every store, with jobs over a bus in memory. What is opened ends after each test. */
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
  const testStore = (
    name: string,
    make: (id: string) => {
      readonly store: JobStore & Partial<AsyncDisposable>
      readonly database: Database | undefined
    },
  ): TestStore => ({
    name,
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
        const jobs = openJobs({ bus, store, poll: 50, ...options, ...more })
        closers.push(() => jobs.close())
        return jobs
      }
      return { jobs: await another(), store, bus, database, another }
    },
  })
  const overDatabase = (database: Database) => ({ store: databaseJobStore(database), database })
  return [
    testStore('memory', () => ({ store: memoryJobStore(), database: undefined })),
    testStore('SQLite', (id) => overDatabase(sqlite({ path: join(folder, `${id}.db`) }))),
    testStore('PGlite', (id) => {
      pglite ??= new PGlite()
      return overDatabase(postgres({ pglite, schema: id }))
    }),
    ...(redisUrl === undefined
      ? []
      : [
          testStore('Redis', (id) => ({
            store: redisJobStore(redisUrl, { store: `${id}_${run}` }),
            database: undefined,
          })),
        ]),
    ...(postgresUrl === undefined
      ? []
      : [
          testStore('PostgreSQL', (id) =>
            overDatabase(postgres({ url: postgresUrl, schema: `${id}_${run}` })),
          ),
        ]),
  ]
}

/** Waits until a condition holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}
