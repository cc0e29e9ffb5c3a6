import type { IdempotencyMark } from '@waybill/core'
import { type Duration, parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { Host } from '../host.ts'
import type { Cleaner } from '../marks/cleaner.ts'
import { markColumns, markDigest, markParameters } from '../marks/mark-parameters.ts'
import type { Transaction } from '../transaction.ts'

export interface InboxOptions {
  /** How long a message is remembered: longer than it can be redelivered, replays of dead letters included. Default: `7d`. */
  readonly window?: Duration
  /** Whether what `once` resolved with is stored beside the mark, as JSON, for duplicates. Default: false. */
  readonly keepResults?: boolean
  /** How often expired marks are removed in the background, at least 100 ms. Default: `1m`. */
  readonly cleanEvery?: Duration
}

/** `result` of a duplicate is what was stored with `keepResults`, undefined otherwise. */
export type Once<Result> =
  | { readonly outcome: 'ran'; readonly result: Result }
  | { readonly outcome: 'duplicate'; readonly result: Result | undefined }

/** Of a handler's context, what is used. */
export interface Marked {
  readonly idempotencyKey: IdempotencyMark
}

const optionsSchema = z.strictObject({
  window: durationOption({ min: 1 }).default(7 * 24 * 3_600_000),
  keepResults: z.boolean().default(false),
  cleanEvery: durationOption({ min: 100 }).default(60_000),
})

/**
 * Gives each message one effect in the database, whatever dies: the handler's writes and the mark of the message are in one
 * transaction. Made by `database.inbox()`.
 */
export class Inbox {
  readonly #host: Host
  readonly #cleaner: Cleaner
  readonly #options: z.output<typeof optionsSchema>
  readonly #sql: Readonly<Record<'mark' | 'markAgain' | 'keep' | 'result', string>>

  /** @internal Made by `database.inbox()`; the parameters may change in any version. */
  constructor(host: Host, cleaner: Cleaner, options: InboxOptions = {}) {
    this.#options = parseOptions(optionsSchema, options, 'inbox options')
    this.#host = host
    this.#cleaner = cleaner
    const { table, now, after } = host.dialect
    const marks = table('marks')
    const insert = `INSERT INTO ${marks} AS existing (${markColumns}, state, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, 'done', ${after('$7')})
ON CONFLICT (mark)`
    this.#sql = {
      // Most messages are new, and this is what PostgreSQL plans and runs fastest. Another transaction that has the mark is
      // waited for: its end decides.
      mark: `${insert} DO NOTHING RETURNING state`,
      // A lease of the idempotency store is this message's own, since the handler runs under it.
      markAgain: `${insert} DO UPDATE SET state = 'done', result = NULL, marked_at = ${now}, expires_at = excluded.expires_at
WHERE existing.state = 'processing' OR existing.expires_at <= ${now}
RETURNING state`,
      keep: `UPDATE ${marks} SET result = $2 WHERE mark = $1`,
      result: `SELECT result FROM ${marks} WHERE mark = $1`,
    }
  }

  /**
   * Runs `work` and commits its writes together with the mark of the message, or does nothing if the message had its effect
   * before. Of two at once one waits for the other. When `work` throws, nothing is left, and the message can be tried again.
   *
   * @example
   * consumer.on(OrderPlaced, async ({ data }, context) => {
   *   await inbox.once(context, async (transaction) => {
   *     await transaction.query('UPDATE stock SET left = left - $1 WHERE sku = $2', [data.count, data.sku])
   *   })
   * })
   *
   * @throws what `work` throws; {MessagingError} when the database cannot do it. A connection that is lost at the commit leaves
   * it open whether it was done: the next delivery finds out.
   */
  async once<Result>(
    context: Marked,
    work: (transaction: Transaction) => Promise<Result>,
  ): Promise<Once<Result>> {
    return await this.#host.transaction(async (transaction): Promise<Once<Result>> => {
      if (!(await this.mark(transaction, context))) {
        return { outcome: 'duplicate', result: await this.#resultOf(transaction, context) }
      }
      const result = await work(transaction)
      if (this.#options.keepResults && result !== undefined) {
        const parameters = [markDigest(context.idempotencyKey), JSON.stringify(result)]
        await transaction.query(this.#sql.keep, parameters)
      }
      return { outcome: 'ran', result }
    })
  }

  /**
   * Marks the message in a transaction of yours, as its first statement; false if it had its effect before, and then nothing
   * is to be done. `once` is this and the transaction around it.
   *
   * @example
   * await db.transaction().execute(async (trx) => {
   *   if (await inbox.mark(fromKysely(trx), context)) await trx.insertInto('orders').values(order).execute()
   * })
   *
   * @throws {MessagingError} when the database cannot do it.
   */
  async mark(transaction: Transaction, { idempotencyKey }: Marked): Promise<boolean> {
    this.#cleaner.start(this.#options.cleanEvery)
    try {
      if (!this.#host.isReady) await this.#host.requireReady(transaction)
      const parameters = [...markParameters(idempotencyKey), this.#options.window]
      const isNew = (await transaction.query(this.#sql.mark, parameters)).length > 0
      return isNew || (await transaction.query(this.#sql.markAgain, parameters)).length > 0
    } catch (error) {
      throw this.#host.failed(error, `Marking ${idempotencyKey.type} ${idempotencyKey.id}`)
    }
  }

  async #resultOf<Result>(transaction: Transaction, { idempotencyKey }: Marked): Promise<Result | undefined> {
    if (!this.#options.keepResults) return undefined
    const [row] = await transaction.query<{ result: string | null }>(this.#sql.result, [
      markDigest(idempotencyKey),
    ])
    return row?.result ? JSON.parse(row.result) : undefined
  }
}
