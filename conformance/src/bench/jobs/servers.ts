import { redisJobStore } from '@waybill/adapter-redis/jobs'
import type { Bus } from '@waybill/core'
import { databaseJobStore, type JobStore } from '@waybill/jobs'
import { type Database, postgres } from '@waybill/postgres'
import type { CaseContext } from '../../case/case-context.ts'
import { connectTo, type End, type EndName } from '../bridge/ends.ts'
import type { RunningBroker } from '../brokers/index.ts'
import type { Servers as RedisServers } from '../redis/servers.ts'

export type StoreName = 'postgres' | 'redis'

/** What hands jobs out; without one workers take them from the store. */
export type Broker = EndName | 'no broker'

export interface Servers {
  /** The brokers, as data for child processes. */
  readonly ends: Readonly<Record<EndName, End>>
  /** The servers of the stores. */
  readonly postgres: RunningBroker
  readonly redis: RunningBroker
  /** Further ones beside it. */
  readonly redisServers: RedisServers
}

/** Where jobs are kept, as data for child processes. */
export interface StorePlace {
  readonly kind: StoreName
  readonly url: string
  /** The schema of the database, or the name of the store. */
  readonly name: string
}

export interface OpenedStore extends AsyncDisposable {
  readonly store: JobStore
  /** Undefined: it is no database. */
  readonly database: Database | undefined
}

export function openStore({ kind, url, name }: StorePlace): OpenedStore {
  if (kind === 'redis') {
    const store = redisJobStore(url, { store: name })
    return { store, database: undefined, [Symbol.asyncDispose]: () => store.close() }
  }
  const database = postgres({ url, schema: name })
  return { store: databaseJobStore(database), database, [Symbol.asyncDispose]: () => database.close() }
}

/** The table of what jobs have done. */
export function effectsOf(database: Database): string {
  return database.dialect.table('effects')
}

/** A store of the case's own. */
export async function storeOf(
  context: CaseContext,
  servers: Servers,
  kind: StoreName,
): Promise<OpenedStore & { readonly place: StorePlace }> {
  const name = context
    .unique('jobs')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '_')
  const place = { kind, name, url: servers[kind].url }
  const opened = openStore(place)
  context.defer(() => opened[Symbol.asyncDispose]())
  await opened.database?.migrate()
  return { ...opened, place }
}

export async function busOver(
  context: CaseContext,
  servers: Servers,
  broker: Broker,
): Promise<Bus | undefined> {
  return broker === 'no broker' ? undefined : await connectTo(context, servers.ends[broker])
}
