import { MessagingError } from './errors.ts'

type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: MessagingError }

const noAnswer: Outcome = {
  ok: false,
  error: new MessagingError('failed', 'The driver returned no outcome for the message'),
}

/** One of a driver's outcomes. It may have given too few, or none that can be read; nobody is to wait for it forever. */
export function outcomeAt(outcomes: readonly Outcome[] | undefined, index: number): Outcome {
  const outcome = outcomes?.[index]
  if (outcome === undefined || outcome === null) return noAnswer
  return outcome.ok || MessagingError.is(outcome.error) ? outcome : noAnswer
}
