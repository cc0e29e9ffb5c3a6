import type { Outcome } from '../driver.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'

export type Failure = Extract<Outcome, { readonly ok: false }>

/** The outcome of what went well. */
export const done: Outcome = Object.freeze({ ok: true })

/**
 * The outcome of what failed, from anything thrown.
 *
 * @example
 * return messages.map((message, index) => (refused.has(index) ? failed(error) : done))
 */
export function failed(thrown: unknown, what = 'Failed'): Failure {
  return { ok: false, error: toMessagingError(thrown, what) }
}

/**
 * Outcomes for all items of a call that answers for each, or fails for all of them.
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

/** The first failure of some outcomes, for a caller that has one answer for all of them. */
export function firstFailure(outcomes: readonly Outcome[]): Failure | undefined {
  return outcomes.find((outcome): outcome is Failure => !outcome.ok)
}

/**
 * The outcome of a message of an ordered topic that was not sent because an earlier one of its key had failed: sent later,
 * it would overtake that one.
 */
export function withheld(key: string | undefined): Failure {
  const message = `Withheld: an earlier message of key "${key ?? ''}" was not sent; send them again in their order`
  return { ok: false, error: new MessagingError('rejected', message, { retryable: true, fate: 'not-sent' }) }
}
