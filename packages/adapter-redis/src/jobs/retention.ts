import type { JobRow, JobState } from '@waybill/jobs'
import { asNumber } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import type { JobReader } from './job-reader.ts'
import type { Transactions } from './transactions.ts'

// When a child that its parent has not had yet is looked at again.
const againMs = 3_600_000

const ended: readonly JobState[] = ['completed', 'failed', 'cancelled']

/** Removes what is kept no longer, so much at a call. Children are kept for parents that are still to run, which get their results. */
export class Retention {
  readonly #reader: JobReader
  readonly #transactions: Transactions

  constructor(reader: JobReader, transactions: Transactions) {
    this.#reader = reader
    this.#transactions = transactions
  }

  /** Jobs whose time is over, and keys; resolves with how many jobs. */
  async removeExpired(limit: number, now: number): Promise<number> {
    const range = ['-inf', now, 'BYSCORE', 'LIMIT', 0, limit]
    await this.#freeKeys(await this.#members(this.#reader.keys.held, range))
    const ids = await this.#members(this.#reader.keys.expiring, range)
    const isOver = ({ removeAt }: JobRow, at: number) => removeAt !== undefined && removeAt <= at
    return (await this.#remove(ids, isOver, againMs)).over
  }

  /** What there is of a name in a state beyond the latest `count`. */
  async removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number> {
    const key = this.#reader.keys.ended(name, state)
    let removed = 0
    for (let from = 0; removed < limit; ) {
      const [size] = await this.#reader.read(new Commands().add('ZCARD', key))
      const most = Math.min(limit - removed, asNumber(size) - count - from)
      if (most <= 0) break
      const ids = await this.#members(key, [from, from + most - 1])
      const { over, kept } = await this.#remove(ids, (row) => row.state === state)
      removed += over
      from += kept
      if (over + kept === 0) break
    }
    return removed
  }

  /** Keys that were held for a time. A job that has not ended keeps its own until it has. */
  async #freeKeys(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    await this.#transactions.run(async (rows) => {
      const held = await rows.keys(names)
      const over = held.filter(({ until }) => until !== undefined && until <= rows.now)
      const jobs = await rows.lock(over.map(({ job }) => job))
      const live = new Set(jobs.filter(({ state }) => !ended.includes(state)).map(({ id }) => id))
      await rows.putKeys(over.filter(({ job }) => live.has(job)).map((key) => ({ ...key, until: undefined })))
      rows.removeKeys(over.filter(({ job }) => !live.has(job)).map(({ key }) => key))
    })
  }

  /** `keepMs`: how much longer what is kept is not looked at again. */
  async #remove(
    ids: readonly string[],
    isOver: (row: JobRow, now: number) => boolean,
    keepMs?: number,
  ): Promise<{ readonly over: number; readonly kept: number }> {
    if (ids.length === 0) return { over: 0, kept: 0 }
    return await this.#transactions.run(async (rows) => {
      const all = (await rows.lock(ids)).filter((row) => isOver(row, rows.now))
      const parents = await rows.lock(all.flatMap(({ parent }) => parent ?? []))
      const waiting = new Set(parents.filter(({ state }) => !ended.includes(state)).map(({ id }) => id))
      const kept = all.filter(({ parent }) => parent !== undefined && waiting.has(parent))
      const over = all.filter((row) => !kept.includes(row))
      rows.remove(over.map(({ id }) => id))
      if (keepMs !== undefined)
        await rows.update(kept.map((row) => ({ ...row, removeAt: rows.now + keepMs })))
      return { over: over.length, kept: kept.length }
    })
  }

  async #members(key: string, range: readonly (string | number)[]): Promise<readonly string[]> {
    return await this.#reader.members(new Commands().add('ZRANGE', key, ...range))
  }
}
