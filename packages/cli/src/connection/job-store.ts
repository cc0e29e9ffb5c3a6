import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { databaseJobStore, JobStore, Jobs } from '@waybill/jobs'
import type { Redactor } from '../failures/redact.ts'
import { UsageError } from '../failures/usage-error.ts'
import { importInstalled } from './import-from.ts'

/** Where jobs are kept. */
// A type, not an interface: commander wants options that may have any name.
export type JobStoreOptions = {
  readonly store?: string | undefined
  /** Of PostgreSQL. */
  readonly schema?: string | undefined
  /** Of tables. */
  readonly prefix?: string | undefined
  /** Of one of several stores at a Redis server. */
  readonly storeName?: string | undefined
}

export interface OpenJobs {
  readonly jobs: Jobs
  close(): Promise<void>
}

type Database = Parameters<typeof databaseJobStore>[0]

/** What the packages of stores export. */
interface PostgresPackage {
  postgres(options: { readonly url: string; readonly schema?: string; readonly prefix?: string }): Database
}

interface SqlitePackage {
  sqlite(options: { readonly path: string; readonly prefix?: string }): Database
}

interface RedisPackage {
  redisJobStore(url: string, options: { readonly store?: string }): JobStore & { close(): Promise<void> }
}

const flags = { schema: '--schema', prefix: '--prefix', storeName: '--store-name' } as const

/** What options mean something for URLs of a scheme. */
const takenBy: Readonly<Record<string, readonly (keyof typeof flags)[]>> = {
  postgres: ['schema', 'prefix'],
  postgresql: ['schema', 'prefix'],
  sqlite: ['prefix'],
  redis: ['storeName'],
  rediss: ['storeName'],
}

/**
 * Opens the jobs of a store, to look at them and to change them. It makes nothing there and runs nothing.
 *
 * @throws {UsageError} when no store is named, or an option means nothing to it.
 * @throws {MessagingError} `adapter-missing` when its package is not installed.
 */
export async function openJobStore(
  options: JobStoreOptions,
  directory: string,
  redactor: Redactor,
): Promise<OpenJobs> {
  const { store: url = '', schema, prefix, storeName } = options
  redactor.learnUrl(url)
  const scheme = /^([a-z]+):/.exec(url)?.[1] ?? ''
  const taken = takenBy[scheme]
  if (taken === undefined) {
    const what = url === '' ? 'No store of jobs is named' : 'Jobs are kept at no such URL'
    throw new UsageError(`${what}; give --store or WAYBILL_STORE: postgres://…, redis://… or sqlite:FILE`)
  }
  for (const name of ['schema', 'prefix', 'storeName'] as const)
    if (options[name] !== undefined && !taken.includes(name))
      throw new UsageError(`${flags[name]} means nothing to jobs at a ${scheme}: URL`)
  const tables = { ...(schema !== undefined && { schema }), ...(prefix !== undefined && { prefix }) }
  switch (scheme) {
    case 'sqlite': {
      const path = resolve(directory, url.slice('sqlite:'.length))
      // It would be made.
      if (!existsSync(path)) throw new UsageError(`There is no file ${path}`)
      await requireTable(path, `${prefix ?? 'waybill_'}jobs`)
      const { sqlite } = await importInstalled<SqlitePackage>('@waybill/sqlite', directory)
      return await inDatabase(sqlite({ path, ...tables }))
    }
    case 'postgres':
    case 'postgresql': {
      const { postgres } = await importInstalled<PostgresPackage>('@waybill/postgres', directory)
      return await inDatabase(postgres({ url, ...tables }))
    }
    default: {
      const from = '@waybill/adapter-redis/jobs'
      const { redisJobStore } = await importInstalled<RedisPackage>(from, directory)
      const store = redisJobStore(url, { ...(storeName !== undefined && { store: storeName }) })
      return await opened(store, store)
    }
  }
}

/**
 * Whether jobs are kept in a file: the package of the store turns each that it opens to WAL, which is not for those of others.
 *
 * @throws {UsageError} when they are not.
 */
async function requireTable(path: string, table: string): Promise<void> {
  const { DatabaseSync } = await import('node:sqlite')
  let isThere = true
  try {
    const database = new DatabaseSync(path, { readOnly: true })
    const find = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    isThere = database.prepare(find).get(table) !== undefined
    database.close()
  } catch {
    // Why it cannot be read, the package of the store explains.
  }
  if (!isThere)
    throw new UsageError(`${path} has no table ${table}: run database.migrate() there, or give the --prefix`)
}

// Loaded when it is needed: most commands are about messages.
async function inDatabase(database: Database): Promise<OpenJobs> {
  const { databaseJobStore } = await import('@waybill/jobs')
  return await opened(databaseJobStore(database), database)
}

async function opened(store: JobStore, owner: { close(): Promise<void> }): Promise<OpenJobs> {
  const { openJobs } = await import('@waybill/jobs')
  const jobs = openJobs({ store })
  return {
    jobs,
    close: async () => {
      await jobs.close()
      await owner.close()
    },
  }
}
