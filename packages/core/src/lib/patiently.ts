import { type Clock, sleep } from './clock.ts'
import { MessagingError } from './errors.ts'

const patienceMs = 5000
const pauseMs = 250

/**
 * Asks again, for up to 5 s, while the answer is an error that may pass, such as while a topic is being made. For what only
 * reads, which may be asked as often as one likes.
 *
 * @example
 * const stats = await patiently(clock, () => driver.stats(topic, 'billing'))
 */
export async function patiently<Answer>(clock: Clock, ask: () => Promise<Answer>): Promise<Answer> {
  for (const until = clock.monotonic() + patienceMs; ; ) {
    try {
      return await ask()
    } catch (error) {
      const mayPass = MessagingError.is(error) && error.retryable
      if (!mayPass || clock.monotonic() + pauseMs > until) throw error
      await sleep(clock, pauseMs)
    }
  }
}
