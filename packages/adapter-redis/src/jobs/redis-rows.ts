import type {
  JobKey,
  JobRow,
  JobRows,
  Lease,
  NamedToSend,
  RowChange,
  ScheduleRow,
  ToSend,
} from '@waybill/jobs'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { asArray, asNumber, asUtf8 } from '../wire/reply.ts'
import { beginRuns } from './begin-runs.ts'
import { Commands } from './commands.ts'
import { idIn, partsOf, priorities } from './job-keys.ts'
import type { JobReader } from './job-reader.ts'
import type { Kinds } from './kinds.ts'
import { SeenValues } from './seen-values.ts'
import { fromRevised, holderIn, nameInHead, type StoredJob, scheduleIn } from './stored-job.ts'

/** What all transactions of a store have in common. */
export interface RedisRowsContext {
  readonly connection: SharedConnection
  readonly reader: JobReader
  readonly kinds: Kinds
  /** What was written, by the rows that whoever wrote it may have kept. */
  readonly written: WeakMap<JobRow, StoredJob>
  /** Another one with each call. */
  nextRevision(): string
}

/** How many jobs are looked through at once. */
const pageSize = 2500

/** The rows of jobs within a transaction: reads them, and keeps what is to be written until it commits. */
export class RedisRows implements JobRows {
  readonly now: number
  readonly jobs = new SeenValues<StoredJob>()
  readonly holders = new SeenValues<JobKey>()
  readonly scheduled = new SeenValues<ScheduleRow>()
  /** Whose jobs were counted. */
  readonly queues = new SeenValues<string>()
  isAnnounced = false
  /** There are jobs that were not there. */
  hasNew = false
  /** Ids of jobs that were not read, but taken for free, or for what they were when they were written. */
  readonly unread = new Set<string>()
  readonly #context: RedisRowsContext
  readonly #unsure: ReadonlySet<string>

  /** Of ids in `unsure` it turned out that they have to be read. */
  constructor(context: RedisRowsContext, now: number, unsure: ReadonlySet<string>) {
    this.#context = context
    this.now = now
    this.#unsure = unsure
  }

  announce(): void {
    this.isAnnounced = true
  }

  async lock(ids: readonly string[]): Promise<readonly JobRow[]> {
    const unread = [...new Set(ids)].filter((id) => !this.jobs.has(id))
    if (unread.length > 0) {
      const found = new Map((await this.#context.reader.jobs(unread)).map((job) => [job.row.id, job]))
      for (const id of unread) {
        const job = found.get(id)
        this.jobs.note(id, job && { revision: job.revision, value: job })
      }
    }
    return [...new Set(ids)].flatMap((id) => this.jobs.get(id)?.row ?? [])
  }

  // Who commits first has them.
  async lockKeys(): Promise<void> {}

  async keys(keys: readonly string[]): Promise<readonly JobKey[]> {
    await this.#readInto(this.holders, this.#context.reader.keys.holders, keys, holderIn)
    return keys.flatMap((key) => this.holders.get(key) ?? [])
  }

  async putKeys(keys: readonly JobKey[]): Promise<void> {
    for (const each of keys) this.holders.put(each.key, each)
  }

  async releaseKeys(jobs: readonly string[]): Promise<void> {
    const names = jobs.flatMap((id) => this.jobs.get(id)?.row.details.key ?? [])
    for (const { key, job, until } of await this.keys(names))
      if (jobs.includes(job) && (until === undefined || until <= this.now)) this.holders.put(key, undefined)
  }

  /** What nobody has read is taken for free: if it is not, the transaction runs again and knows. */
  async insert(rows: readonly JobRow[]): Promise<ReadonlySet<string>> {
    await this.lock(rows.map(({ id }) => id).filter((id) => this.#unsure.has(id)))
    const free = rows.filter(({ id }) => this.jobs.get(id) === undefined)
    for (const row of free) {
      if (!this.jobs.has(row.id)) this.#assume(row.id, undefined)
      this.#put(row)
    }
    this.hasNew ||= free.length > 0
    return new Set(free.map(({ id }) => id))
  }

  async replace(changes: readonly RowChange[]): Promise<ReadonlySet<string>> {
    const replaced = new Set<string>()
    for (const { before, after } of changes) {
      const { id } = before
      const written = this.#context.written.get(before)
      if (written === undefined || this.#unsure.has(id) || this.jobs.has(id)) continue
      this.#assume(id, written)
      this.#put(after)
      replaced.add(id)
    }
    return replaced
  }

  async update(rows: readonly JobRow[]): Promise<void> {
    for (const row of rows) if (row !== this.jobs.get(row.id)?.row) this.#put(row)
  }

  removeKeys(keys: readonly string[]): void {
    for (const key of keys) this.holders.put(key, undefined)
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.jobs.put(id, undefined)
  }

  async toSend({ queue, names, isSent }: ToSend, limit: number): Promise<readonly string[]> {
    const range = ['-inf', this.now, 'BYSCORE', 'LIMIT', 0, limit]
    const { asked, replies } = await this.#context.kinds.read({ queue }, (commands, kinds) => {
      for (const priority of priorities)
        commands.add('ZRANGE', this.#context.reader.keys.toSend(queue, isSent, priority), ...range)
      return kinds
    })
    const hasOthers = names !== undefined && asked.some((kind) => !names.includes(partsOf(kind).name))
    if (hasOthers) return await this.#namedToSend({ queue, names, isSent }, limit)
    return replies.flatMap(asArray).map(asUtf8).map(idIn).slice(0, limit)
  }

  /** Names stand in the heads only, so those of jobs that others are to run are read, too: no more of them, since they may be many. */
  async #namedToSend({ queue, names, isSent }: NamedToSend, limit: number): Promise<readonly string[]> {
    const ids: string[] = []
    for (const priority of priorities) {
      const key = this.#context.reader.keys.toSend(queue, isSent, priority)
      for (let from = 0; ids.length < limit; from += pageSize) {
        const range = ['-inf', this.now, 'BYSCORE', 'LIMIT', from, pageSize]
        const page = await this.#context.reader.members(new Commands().add('ZRANGE', key, ...range))
        const heads = await this.#context.reader.values(this.#context.reader.keys.heads, page.map(idIn))
        for (const [id, head] of heads) if (names.includes(nameInHead(fromRevised(head).json))) ids.push(id)
        if (page.length < pageSize) break
      }
    }
    return ids.slice(0, limit)
  }

  async beginDue(of: NamedToSend, limit: number, lease: Lease): Promise<readonly JobRow[] | undefined> {
    const { connection, reader, written } = this.#context
    const rows: JobRow[] = []
    for (let isCut = true; isCut && rows.length < limit; ) {
      const revision = this.#context.nextRevision()
      const run = { of, limit: limit - rows.length, ...lease, now: this.now, revision }
      const begun = await beginRuns(connection, reader.keys, run).catch((error: unknown) => {
        // Those that have begun are to be run.
        if (rows.length === 0) throw error
        return undefined
      })
      if (begun === undefined) return rows.length === 0 ? undefined : rows
      for (const job of begun.jobs) written.set(job.row, job)
      rows.push(...begun.jobs.map(({ row }) => row))
      isCut = begun.isCut
    }
    return rows
  }

  async running(queue: string): Promise<number> {
    const { keys } = this.#context.reader
    const { replies } = await this.#context.kinds.read({ queue }, (commands, kinds) => {
      commands.add('HGET', keys.queues, queue)
      for (const priority of priorities) commands.add('ZCARD', keys.toSend(queue, true, priority))
      for (const kind of kinds) commands.add('ZCARD', keys.ofKind(kind, 'active'))
    })
    const [last, ...counts] = replies
    const { revision, json } = fromRevised(asUtf8(last))
    this.queues.note(queue, revision === '' ? undefined : { revision, value: json })
    return counts.map(asNumber).reduce((sum, each) => sum + each, 0)
  }

  async leaseEnded(limit: number): Promise<readonly string[]> {
    return await this.#due(this.#context.reader.keys.leases, limit)
  }

  async children(parents: readonly string[]): Promise<readonly string[]> {
    const commands = new Commands()
    for (const parent of parents) commands.add('ZRANGE', this.#context.reader.keys.children(parent), 0, -1)
    return parents.length === 0 ? [] : (await this.#context.reader.members(commands)).map(idIn)
  }

  async lockSchedules(ids: readonly string[]): Promise<readonly ScheduleRow[]> {
    await this.#readInto(this.scheduled, this.#context.reader.keys.schedules, ids, scheduleIn)
    return ids.flatMap((id) => this.scheduled.get(id) ?? [])
  }

  async dueSchedules(limit: number): Promise<readonly string[]> {
    return await this.#due(this.#context.reader.keys.scheduleTimes, limit)
  }

  async putSchedules(rows: readonly ScheduleRow[]): Promise<void> {
    for (const row of rows) this.scheduled.put(row.id, row)
  }

  async removeSchedules(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.scheduled.put(id, undefined)
  }

  #assume(id: string, job: StoredJob | undefined): void {
    this.jobs.note(id, job && { revision: job.revision, value: job })
    this.unread.add(id)
  }

  #put(row: JobRow): void {
    const { revision = '', isLate = false } = this.jobs.before(row.id) ?? {}
    this.jobs.put(row.id, { revision, isLate, row })
  }

  async #due(key: string, limit: number): Promise<readonly string[]> {
    const range = ['-inf', this.now, 'BYSCORE', 'LIMIT', 0, limit]
    return await this.#context.reader.members(new Commands().add('ZRANGE', key, ...range))
  }

  async #readInto<Value>(
    seen: SeenValues<Value>,
    key: string,
    fields: readonly string[],
    valueIn: (field: string, json: string) => Value,
  ): Promise<void> {
    const unread = [...new Set(fields)].filter((field) => !seen.has(field))
    const found = await this.#context.reader.values(key, unread)
    for (const field of unread) {
      const text = found.get(field)
      const { revision, json } = fromRevised(text ?? '')
      seen.note(field, text === undefined ? undefined : { revision, value: valueIn(field, json) })
    }
  }
}
