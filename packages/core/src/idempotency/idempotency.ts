import { z } from 'zod'
import { type Clock, systemClock } from '../lib/clock.ts'
import { newId } from '../lib/new-id.ts'
import { lazily, parseOptions } from '../lib/validation.ts'

/**
 * What identifies one effect. CloudEvents ids are unique within a source, but a source is often one word for a whole
 * system, and an order's id is a natural id for each event of that order. So topic and type are part of the mark.
 */
export interface IdempotencyMark {
  readonly group: string
  readonly topic: string
  readonly type: string
  readonly source: string
  readonly id: string
}

export type IdempotencyState =
  /** The mark is ours for the lease; `token` fences it against a later owner. */
  | { readonly state: 'started'; readonly token: string }
  /** Somebody else has it. */
  | { readonly state: 'processing'; readonly remainingMs: number }
  | { readonly state: 'done' }

/**
 * Remembers which messages had their effect. Every method is atomic and rejects when the store cannot be reached.
 * While `begin` rejects, the consumer starts no handlers, keeps what it has in hand and asks again until the store answers.
 * To find out, it begins and abandons marks of the type `waybill.probe`.
 *
 * A store in the database of the effect makes both one step: the handler writes the mark of
 * `context.idempotencyKey` as done in its own transaction, and `begin` finds it there.
 */
export interface IdempotencyStore {
  /** Takes the mark unless it is done or somebody holds a lease on it that has not expired. */
  begin(mark: IdempotencyMark, leaseMs: number): Promise<IdempotencyState>
  /** Renews the lease; false when the token no longer owns the mark. */
  extend(mark: IdempotencyMark, token: string, leaseMs: number): Promise<boolean>
  /** Marks it as done and remembers it for `windowMs`. No effect unless the token owns the mark. */
  complete(mark: IdempotencyMark, token: string, windowMs: number): Promise<void>
  /** Removes the mark. No effect unless the token owns it. */
  abandon(mark: IdempotencyMark, token: string): Promise<void>
}

const storeOptionsSchema = lazily(() =>
  z.strictObject({
    clock: z
      .custom<Clock>(
        (value) => typeof value === 'object' && value !== null && 'now' in value,
        'expected a clock',
      )
      .default(systemClock),
  }),
)

/**
 * A store in this process's memory: for tests, and for a single process that may lose its marks when it ends. For several
 * processes use a shared store, such as `redisIdempotencyStore` of `@waybill/adapter-redis`.
 *
 * ```ts
 * bus.consumer('billing', { idempotency: memoryIdempotencyStore() })
 * bus.consumer('audit', { idempotency: { store: memoryIdempotencyStore(), window: '7d', lease: '5m' } })
 * ```
 *
 * @throws {ConfigurationError} when `clock` is not a clock.
 */
export function memoryIdempotencyStore(options: { readonly clock?: Clock } = {}): IdempotencyStore {
  const { clock } = parseOptions(storeOptionsSchema(), options, 'options of the idempotency store')
  const marks = new Map<
    string,
    { readonly token: string; readonly done: boolean; readonly expiresAt: number }
  >()
  let looking = marks.entries()
  const keyOf = ({ group, topic, type, source, id }: IdempotencyMark) =>
    JSON.stringify([group, topic, type, source, id])

  // Each call looks at two of the others, in turn: the number of marks stays bounded by that of the live ones, and no call
  // waits for a sweep.
  function forgetExpired(now: number): void {
    for (let looks = 0; looks < 2; looks += 1) {
      const { value, done } = looking.next()
      if (done) {
        looking = marks.entries()
        return
      }
      const [key, { expiresAt }] = value
      if (expiresAt <= now) marks.delete(key)
    }
  }

  function put(key: string, token: string, done: boolean, durationMs: number): void {
    const now = clock.monotonic()
    forgetExpired(now)
    marks.delete(key)
    marks.set(key, { token, done, expiresAt: now + durationMs })
  }

  function owned(key: string, token: string): boolean {
    const mark = marks.get(key)
    return mark !== undefined && !mark.done && mark.token === token
  }

  return {
    async begin(mark, leaseMs) {
      const key = keyOf(mark)
      const current = marks.get(key)
      const remainingMs = current === undefined ? 0 : current.expiresAt - clock.monotonic()
      if (current !== undefined && remainingMs > 0) {
        return current.done ? { state: 'done' } : { state: 'processing', remainingMs }
      }
      const token = newId()
      put(key, token, false, leaseMs)
      return { state: 'started', token }
    },
    async extend(mark, token, leaseMs) {
      const key = keyOf(mark)
      if (!owned(key, token)) return false
      put(key, token, false, leaseMs)
      return true
    },
    async complete(mark, token, windowMs) {
      const key = keyOf(mark)
      if (owned(key, token)) put(key, token, true, windowMs)
    },
    async abandon(mark, token) {
      const key = keyOf(mark)
      if (owned(key, token)) marks.delete(key)
    },
  }
}
