import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'

export interface Bounds {
  readonly clock: Clock
  readonly timeoutMs: number
  /** The operation, for the error: `Declaring queue orders`. */
  readonly what: string
  /** Gives up as soon as it fires. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The promise's result, or an error once the time is over (`timeout`, retryable) or the signal fires (`aborted`). What the
 * promise does later is ignored.
 *
 * @example
 * const answer = await bounded(client.ask(), { clock, timeoutMs: settings.requestTimeout, what: 'Asking the broker' })
 */
export function bounded<Value>(
  promise: Promise<Value>,
  { clock, timeoutMs, what, signal }: Bounds,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const end = () => {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (error: MessagingError) => {
      end()
      reject(error)
    }
    const onAbort = () =>
      giveUp(new MessagingError('aborted', `${what}: no longer wanted`, { cause: signal?.reason }))
    const cancel = clock.after(timeoutMs, () =>
      giveUp(new MessagingError('timeout', `${what}: no answer within ${timeoutMs} ms`, { retryable: true })),
    )
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(end)
  })
}
