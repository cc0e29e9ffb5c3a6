import type { JobRow, JobState } from '@waybill/jobs'
import { asNumber } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import type { JobReader } from './job-reader.ts'
import type { Transactions } from './transactions.ts'

const ended: readonly JobState[] = ['completed', 'failed', 'cancelled']

/** Removes what is kept no longer, so much at a call. */
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
    return await this.#remove(ids, ({ removeAt }, at) => removeAt !== undefined && removeAt <= at)
  }

  /** What there is of a name in a state beyond the latest `count`. */
  async removeBeyond(name: string, state: JobState, count: number, limit: number): Promise<number> {
    const key = this.#reader.keys.ended(name, state)
    const [size] = await this.#reader.read(new Commands().add('ZCARD', key))
    const most = Math.min(limit, asNumber(size) - count)
    if (most <= 0) return 0
    return await this.#remove(await this.#members(key, [0, most - 1]), (row) => row.state === state)
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

  async #remove(ids: readonly string[], isOver: (row: JobRow, now: number) => boolean): Promise<number> {
    if (ids.length === 0) return 0
    return await this.#transactions.run(async (rows) => {
      const over = (await rows.lock(ids)).filter((row) => isOver(row, rows.now))
      rows.remove(over.map(({ id }) => id))
      return over.length
    })
  }

  async #members(key: string, range: readonly (string | number)[]): Promise<readonly string[]> {
    return await this.#reader.members(new Commands().add('ZRANGE', key, ...range))
  }
}
