import type { Outcome } from '../driver.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'

export type Failure = Extract<Outcome, { readonly ok: false }>

/**
 * The outcome of an item that succeeded.
 *
 * @example
 * return messages.map(() => done)
 */
export const done: Outcome = Object.freeze({ ok: true })

/**
 * The outcome of an item that failed, from anything thrown. `what` begins the message of errors that are not Waybill's.
 *
 * @example
 * return messages.map((message, index) => (refused.has(index) ? failed(error) : done))
 */
export function failed(thrown: unknown, what = 'Failed'): Failure {
  return { ok: false, error: toMessagingError(thrown, what) }
}

/**
 * The outcomes of a call that answers for each item, or fails for all of them: then each gets the error. Never rejects.
 *
 * @example
 * publish: (batch) => outcomesOf(batch, 'Sending', () => client.send(batch).then(readAnswers))
 */
export async function outcomesOf(
  items: readonly unknown[],
  what: string,
  run: () => Promise<readonly Outcome[]>,
): Promise<readonly Outcome[]> {
  try {
    return await run()
  } catch (thrown) {
    const outcome = failed(thrown, what)
    return items.map(() => outcome)
  }
}

/**
 * The first failure among the outcomes, for a caller that has only one answer for all of them; undefined if there is none.
 *
 * @example
 * const failure = firstFailure(await sendCopies(letters))
 * if (failure !== undefined) throw failure.error
 */
export function firstFailure(outcomes: readonly Outcome[]): Failure | undefined {
  return outcomes.find((outcome): outcome is Failure => !outcome.ok)
}

/**
 * The outcome of a message on an ordered topic that was not sent because an earlier one of its key failed: it would have
 * overtaken that one. `rejected`, retryable, `not-sent`.
 *
 * @example
 * if (failedKeys.has(message.key)) return withheld(message.key)
 */
export function withheld(key: string | undefined): Failure {
  const message = `Withheld: an earlier message of key "${key ?? ''}" was not sent; send them again in their order`
  return { ok: false, error: new MessagingError('rejected', message, { retryable: true, fate: 'not-sent' }) }
}
