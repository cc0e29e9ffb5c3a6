import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'

/**
 * Runs a handler for a limited time. When it is over, the signals of its deliveries fire and the attempt has failed; what
 * the handler does later is ignored. Without a limit it costs nothing.
 */
export function withTimeLimit(
  timeoutMs: number | undefined,
  clock: Clock,
  deliveries: readonly DeliveryInHand[],
  run: () => unknown,
): unknown {
  if (timeoutMs === undefined) return run()
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => {
      const error = new MessagingError('timeout', `The handler took longer than ${timeoutMs} ms`, {
        retryable: true,
      })
      for (const delivery of deliveries) delivery.abort(error)
      reject(error)
    })
    const done = async () => {
      try {
        resolve(await run())
      } catch (error) {
        reject(error)
      } finally {
        cancel()
      }
    }
    void done()
  })
}
