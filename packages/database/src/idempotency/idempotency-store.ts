import { randomUUID } from 'node:crypto'
import type { IdempotencyMark, IdempotencyState, IdempotencyStore } from '@waybill/core'
import { type Duration, MessagingError, parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { Host } from '../host.ts'
import type { Cleaner } from '../marks/cleaner.ts'
import { markColumns, markDigest, markParameters } from '../marks/mark-parameters.ts'

export interface IdempotencyStoreOptions {
  /** How often expired marks are removed in the background, at least 100 ms. Default: `1m`. */
  readonly cleanEvery?: Duration
}

/** A store in a database: marks shared by all processes that use it, and by the inbox. */
export interface DatabaseIdempotencyStore extends IdempotencyStore {
  /** As the interface says; `done` comes with the result that was stored, undefined if none was. */
  begin(mark: IdempotencyMark, leaseMs: number): Promise<IdempotencyState & { readonly result?: unknown }>
  /** `result` is anything that can be written as JSON; duplicates get it. */
  complete(mark: IdempotencyMark, token: string, windowMs: number, result?: unknown): Promise<void>
  /** Removes expired marks now, as the background does; resolves with how many. */
  clean(): Promise<number>
}

const optionsSchema = z.strictObject({ cleanEvery: durationOption({ min: 100 }).default(60_000) })

interface Standing {
  readonly state: 'processing' | 'done'
  readonly remaining: number
  readonly result: string | null
}

/** @throws {ConfigurationError} with every problem of the options. */
export function makeIdempotencyStore(
  host: Host,
  cleaner: Cleaner,
  options: IdempotencyStoreOptions = {},
): DatabaseIdempotencyStore {
  const { cleanEvery } = parseOptions(optionsSchema, options, 'options of the idempotency store')
  const { table, now, after, epochMs } = host.dialect
  const marks = table('marks')

  const take = `INSERT INTO ${marks} AS existing (${markColumns}, state, token, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, 'processing', $7, ${after('$8')})
ON CONFLICT (mark) DO UPDATE SET state = 'processing', token = excluded.token, result = NULL, marked_at = ${now}, expires_at = excluded.expires_at
WHERE existing.expires_at <= ${now}
RETURNING token`
  const standing = `SELECT state, ${epochMs('expires_at')} - ${epochMs(now)} AS remaining, result FROM ${marks} WHERE mark = $1`
  const owned = `mark = $1 AND token = $2 AND state = 'processing'`
  const extend = `UPDATE ${marks} SET expires_at = ${after('$3')} WHERE ${owned} RETURNING token`
  const complete = `UPDATE ${marks} SET state = 'done', result = $4, expires_at = ${after('$3')} WHERE ${owned}`
  const abandon = `DELETE FROM ${marks} WHERE ${owned}`

  async function run<Row>(what: string, sql: string, parameters: readonly unknown[]) {
    cleaner.start(cleanEvery)
    try {
      await host.requireReady(host)
      return await host.query<Row>(sql, parameters)
    } catch (error) {
      throw host.failed(error, what)
    }
  }

  return {
    async begin(mark, leaseMs) {
      const what = `Beginning the mark of ${mark.type} ${mark.id}`
      // Between the two statements the mark may go; then it can be had.
      for (let tries = 0; tries < 10; tries += 1) {
        const token = randomUUID()
        const taken = await run(what, take, [...markParameters(mark), token, leaseMs])
        if (taken.length > 0) return { state: 'started', token }
        const [found] = await run<Standing>(what, standing, [markDigest(mark)])
        if (found === undefined || found.remaining <= 0) continue
        if (found.state === 'processing') return { state: 'processing', remainingMs: found.remaining }
        return found.result === null ? { state: 'done' } : { state: 'done', result: JSON.parse(found.result) }
      }
      throw new MessagingError('failed', `${what}: others take and leave it all the time`, {
        retryable: true,
      })
    },
    async extend(mark, token, leaseMs) {
      const rows = await run(`Renewing the mark of ${mark.type} ${mark.id}`, extend, [
        ...[markDigest(mark), token, leaseMs],
      ])
      return rows.length > 0
    },
    async complete(mark, token, windowMs, result) {
      const stored = result === undefined ? null : JSON.stringify(result)
      await run(`Completing the mark of ${mark.type} ${mark.id}`, complete, [
        ...[markDigest(mark), token, windowMs, stored],
      ])
    },
    async abandon(mark, token) {
      await run(`Abandoning the mark of ${mark.type} ${mark.id}`, abandon, [markDigest(mark), token])
    },
    clean: () => cleaner.clean(),
  }
}
