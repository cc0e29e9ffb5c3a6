import { randomUUID } from 'node:crypto'
import { MessagingError, sleep } from '@waybill/core/driver'
import type { ServerClock } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { asArray, asNumber } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import type { JobReader } from './job-reader.ts'
import type { Kinds } from './kinds.ts'
import { RedisRows, type RedisRowsContext } from './redis-rows.ts'
import { isLateAt, revised } from './stored-job.ts'
import {
  removeHolder,
  removeJob,
  removeSchedule,
  writeHolder,
  writeJob,
  writeSchedule,
} from './transaction-writes.ts'

// Of those that want the same jobs one comes through each time, so many tries mean a great crowd.
const mostTries = 100
const mostRestMs = 50

/** What one script writes at most: it holds up everybody else while it runs. */
const mostJobs = 5000

interface Committed {
  readonly isDone: boolean
  /** Ids of jobs that are not as they were thought to be. */
  readonly stale: readonly string[]
}

/**
 * Transactions over jobs: reads first, then one script that writes everything, if nothing of what was read has changed. If it has, all
 * of it runs again.
 */
export class Transactions {
  readonly #context: RedisRowsContext
  readonly #clock: ServerClock

  constructor(connection: SharedConnection, reader: JobReader, kinds: Kinds, clock: ServerClock) {
    const instance = randomUUID().slice(0, 8)
    let count = 0
    const nextRevision = () => {
      count += 1
      return `${instance}.${count.toString(36)}`
    }
    this.#context = { connection, reader, kinds, written: new WeakMap(), nextRevision }
    this.#clock = clock
  }

  async run<Result>(work: (rows: RedisRows) => Promise<Result>): Promise<Result> {
    const unsure = new Set<string>()
    for (let tries = 1; tries <= mostTries; tries += 1) {
      await this.#clock.ready()
      const rows = new RedisRows(this.#context, this.#clock.now(), unsure)
      const result = await work(rows)
      const { isDone, stale } = await this.#commit(rows)
      if (isDone) return result
      const unread = stale.filter((id) => rows.unread.has(id))
      for (const id of unread) unsure.add(id)
      // What nobody has read is read the next time; others change what was read.
      if (unread.length === 0) await sleep(this.#clock, Math.random() * Math.min(mostRestMs, 2 * tries))
    }
    const what = `Others were faster at changing the same jobs, ${mostTries} times in a row`
    throw new MessagingError('failed', what, { retryable: true })
  }

  async #commit(rows: RedisRows): Promise<Committed> {
    const { connection, reader, written, nextRevision } = this.#context
    const revision = nextRevision()
    const commands = this.#commandsOf(rows, revision)
    if (commands.size === 0) return { isDone: true, stale: [] }
    const { keys } = reader
    const hashes = [
      [keys.heads, rows.jobs.checks],
      [keys.holders, rows.holders.checks],
      [keys.schedules, rows.scheduled.checks],
      [keys.queues, rows.queues.checks],
    ] as const
    const checked = hashes.filter(([, checks]) => checks.length > 0)
    // Of a job that was not read again the lease may have been renewed.
    const leases = rows.jobs.reads.flatMap(({ row: { id, leaseUntil } }) =>
      leaseUntil === undefined || rows.unread.has(id) ? [] : [[id, leaseUntil] as const],
    )
    const pairs = [...checked.flatMap(([, checks]) => checks), ...leases]
    const args = {
      checks: checked.map(([key, checks]) => ({ key: commands.place(key), count: checks.length })),
      ...(leases.length > 0 && { leases: { key: commands.place(keys.leases), count: leases.length } }),
      commands: commands.list,
      ...(rows.isAnnounced && { channel: keys.changed }),
    }
    const call = { keys: { all: commands.keys }, args, values: [...pairs.flat(), ...commands.values] }
    const { fields } = await connection.run(rows.hasNew ? 'jobAdd' : 'jobChange', call)
    const stale = asArray(fields.stale).flatMap((place) => pairs[asNumber(place)]?.[0] ?? [])
    if (stale.length > 0) return { isDone: false, stale: stale.filter((id) => rows.jobs.has(id)) }
    for (const [, job] of rows.jobs.changes)
      if (job !== undefined)
        written.set(job.row, { row: job.row, revision, isLate: isLateAt(job.row, rows.now) })
    return { isDone: true, stale }
  }

  #commandsOf(rows: RedisRows, revision: string): Commands {
    const { keys } = this.#context.reader
    const commands = new Commands()
    const changes = rows.jobs.changes
    if (changes.length > mostJobs) throw tooMany(changes.length)
    for (const [id, job] of changes) {
      const before = rows.jobs.before(id)
      if (job !== undefined) writeJob(commands, keys, before, job.row, rows.now, revision)
      else if (before !== undefined) removeJob(commands, keys, before)
    }
    for (const [key, holder] of rows.holders.changes) {
      if (holder === undefined) removeHolder(commands, keys, key)
      else writeHolder(commands, keys, holder, revision)
    }
    for (const [id, schedule] of rows.scheduled.changes) {
      if (schedule === undefined) removeSchedule(commands, keys, id)
      else writeSchedule(commands, keys, schedule, revision)
    }
    // Who has sent nothing has changed nothing for others.
    if (changes.length > 0)
      for (const [queue] of rows.queues.checks)
        commands.merge('HSET', keys.queues, queue, revised(revision, ''))
    return commands
  }
}

function tooMany(count: number): MessagingError {
  const what = `${count} jobs are too many to be written in one step, which would hold up the server`
  return new MessagingError('rejected', `${what}: write at most ${mostJobs} at once`)
}
