import { randomUUID } from 'node:crypto'
import {
  type Clock,
  ConfigurationError,
  MessagingError,
  parseBrokerUrl,
  systemClock,
} from '@waybill/core/driver'
import { ServerClock } from '@waybill/core/driver-kit'
import type {
  JobCounts,
  JobCursor,
  JobFilter,
  JobRow,
  JobRows,
  JobState,
  JobStore,
  ScheduleRow,
} from '@waybill/jobs'
import { makeClient } from '../client/make-client.ts'
import { ListeningConnection } from '../connection/listening-connection.ts'
import { SharedConnection } from '../connection/shared-connection.ts'
import { toConnectError } from '../errors.ts'
import { parseRedisOptions, type RedisOptions } from '../options.ts'
import { jobScripts } from '../scripts/script.ts'
import { connectionName } from '../wire/names.ts'
import { asArray, asNumber, asTime } from '../wire/reply.ts'
import { evictionWarning, parseServerInfo } from '../wire/server-info.ts'
import { ChangeNotices } from './change-notices.ts'
import { Commands } from './commands.ts'
import { type JobKeys, jobKeys, priorities } from './job-keys.ts'
import { JobReader } from './job-reader.ts'
import { Kinds } from './kinds.ts'
import { Lists } from './lists.ts'
import { Retention } from './retention.ts'
import { fromRevised, scheduleIn } from './stored-job.ts'
import { Transactions } from './transactions.ts'

/** A job store with connections of its own; close it when its jobs are closed. */
export interface RedisJobStore extends JobStore, AsyncDisposable {
  close(): Promise<void>
}

export interface RedisJobStoreOptions extends RedisOptions {
  /** Of the store, where a server has several: 1 to 48 letters, digits, "_" or "-". Default: `main`. */
  readonly store?: string
}

/**
 * Keeps jobs of `@waybill/jobs` in Redis, for queues over any broker. The URL and the connection options are those of the adapter. It
 * connects when it is first used, and again after a loss. Jobs take no part in a transaction of a database here.
 *
 * ```ts
 * await using store = redisJobStore('redis://localhost')
 * const jobs = openJobs({ bus, store })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of both.
 */
export function redisJobStore(url: string, options: RedisJobStoreOptions = {}): RedisJobStore {
  const { store = 'main', ...rest } = options
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,47}$/.test(store)) {
    const message = 'expected 1 to 48 letters, digits, "_" or "-", starting with a letter or digit'
    throw new ConfigurationError('job store', [{ path: 'store', message }])
  }
  const settings = parseRedisOptions(parseBrokerUrl(url), rest)
  const connections = {
    makeClient: () => makeClient(settings, connectionName(`jobs-${randomUUID()}`)),
    explain: (error: MessagingError) => toConnectError(error, settings),
    connectTimeoutMs: settings.connectTimeout,
    clock: systemClock,
    database: settings.database,
    scripts: jobScripts,
  }
  const shared = new SharedConnection(connections, () => {})
  const listening = new ListeningConnection(connections, settings.requestTimeout)
  return new Store(shared, listening, jobKeys(settings.prefix, store))
}

const mostRenewed = 1000

/** Told once, by whoever writes. */
async function warnOfEviction(shared: SharedConnection): Promise<void> {
  try {
    const warning = evictionWarning(parseServerInfo(await shared.call('INFO')), 'jobs')
    if (warning !== undefined) process.emitWarning(warning, 'WaybillWarning')
  } catch {
    // Not every user may ask.
  }
}

class Store implements RedisJobStore {
  // A connection that is lost tells nothing until it is there again.
  readonly tellsAll = false
  readonly #shared: SharedConnection
  readonly #listening: ListeningConnection
  readonly #keys: JobKeys
  readonly #clock: ServerClock
  readonly #reader: JobReader
  readonly #transactions: Transactions
  readonly #lists: Lists
  readonly #retention: Retention
  readonly #notices: ChangeNotices
  #warned: Promise<void> | undefined

  constructor(shared: SharedConnection, listening: ListeningConnection, keys: JobKeys) {
    this.#shared = shared
    this.#listening = listening
    this.#keys = keys
    this.#clock = new ServerClock(async () => asTime(await shared.call('TIME')))
    this.#reader = new JobReader(shared, keys)
    const kinds = new Kinds(this.#reader)
    this.#transactions = new Transactions(shared, this.#reader, kinds, this.#clock)
    this.#lists = new Lists(this.#reader, kinds)
    this.#retention = new Retention(this.#reader, this.#transactions)
    this.#notices = new ChangeNotices(listening, keys.changed)
  }

  get clock(): Clock {
    return this.#clock
  }

  async transaction<Result>(work: (rows: JobRows) => Promise<Result>, outer?: unknown): Promise<Result> {
    if (outer !== undefined) {
      const what = 'A job store in Redis takes no part in a transaction of a database'
      const hint = 'add the job, or end it, once that has committed, or keep jobs in that database'
      throw new MessagingError('unsupported', `${what}: ${hint} (databaseJobStore)`)
    }
    this.#warned ??= warnOfEviction(this.#shared)
    return await this.#transactions.run(work)
  }

  find(ids: readonly string[]): Promise<readonly JobRow[]> {
    return this.#reader.rows(ids)
  }

  async list(filter: JobFilter, limit: number, after?: JobCursor): Promise<readonly JobRow[]> {
    const now = await this.#now()
    return filter.changedSince === undefined
      ? await this.#lists.latest(filter, limit, after, now)
      : await this.#lists.changed(filter, filter.changedSince, limit, now)
  }

  async counts(filter: Pick<JobFilter, 'name' | 'queue'>): Promise<JobCounts> {
    return await this.#lists.counts(filter, await this.#now())
  }

  async sentCount(queue: string): Promise<number> {
    const commands = new Commands()
    for (const priority of priorities) commands.add('ZCARD', this.#keys.toSend(queue, true, priority))
    const counts = await this.#reader.read(commands)
    return counts.map(asNumber).reduce((sum, each) => sum + each, 0)
  }

  async nextSendAt(queues: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const setsOf = (queue: string) =>
      [true, false].flatMap((isSent) =>
        priorities.map((priority) => this.#keys.toSend(queue, isSent, priority)),
      )
    await this.#clock.ready()
    const moments = await this.#lists.earliestOfEach(queues.map(setsOf))
    return new Map(
      queues.flatMap((queue, index) => {
        const moment = moments[index]
        return moment === undefined ? [] : [[queue, moment]]
      }),
    )
  }

  async schedules(limit: number, after = ''): Promise<readonly ScheduleRow[]> {
    const range = [after === '' ? '-' : `(${after}`, '+', 'BYLEX', 'LIMIT', 0, limit]
    const ids = await this.#reader.members(new Commands().add('ZRANGE', this.#keys.scheduleIds, ...range))
    const found = await this.#reader.values(this.#keys.schedules, ids)
    return [...found].map(([id, value]) => scheduleIn(id, fromRevised(value).json))
  }

  nextSweepAt(): Promise<number | undefined> {
    return this.#lists.earliest([this.#keys.scheduleTimes, this.#keys.leases])
  }

  async renew(owner: string, ids: readonly string[], leaseMs: number): Promise<ReadonlySet<string>> {
    const renewed = new Set<string>()
    const { owners, leases } = this.#keys
    for (let from = 0; from < ids.length; from += mostRenewed) {
      const values = ids.slice(from, from + mostRenewed)
      const call = { keys: { owners, leases }, args: { owner, leaseMs }, values }
      const { fields } = await this.#shared.run('jobRenew', call)
      for (const place of asArray(fields.renewed)) renewed.add(values[asNumber(place)] ?? '')
    }
    return renewed
  }

  async owned(owner: string, ids: readonly string[]): Promise<ReadonlySet<string>> {
    const owners = await this.#reader.values(this.#keys.owners, ids)
    return new Set(ids.filter((id) => owners.get(id) === owner))
  }

  async removeExpired(limit: number): Promise<number> {
    return await this.#retention.removeExpired(limit, await this.#now())
  }

  removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number> {
    return this.#retention.removeBeyond(name, state, count, limit)
  }

  onChange(listener: () => void): () => void {
    return this.#notices.listen(listener)
  }

  async close(): Promise<void> {
    this.#notices.close()
    await Promise.all([this.#shared.close(), this.#listening.close()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #now(): Promise<number> {
    await this.#clock.ready()
    return this.#clock.now()
  }
}
