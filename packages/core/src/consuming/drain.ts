import type { Hand } from '../deliveries/hand.ts'
import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import { within } from '../lib/within.ts'
import type { Attempts } from './attempts.ts'
import type { Subscriber } from './subscriber.ts'

export interface StopReport {
  /** Ids of messages whose handler was still running when the time was over; they go back to the group. */
  readonly abandoned: readonly string[]
  /** How many messages in hand no handler had seen; they went back to the group. */
  readonly released: number
}

// How long settling, giving back and unsubscribing may take once the handlers have ended.
const graceMs = 3000

/**
 * Ends a consumer that no longer takes new messages: lets handlers finish until the signal fires, gives the rest back, waits
 * until the verdicts are durable and closes the subscription.
 */
export async function drain(
  {
    subscriber,
    attempts,
    hand,
    releaseWaiting,
  }: {
    readonly subscriber: Subscriber
    readonly attempts: Attempts
    readonly hand: Hand
    readonly releaseWaiting: () => void
  },
  { clock, emit }: { readonly clock: Clock; readonly emit: Emit },
  handlersOver: AbortSignal,
): Promise<StopReport> {
  attempts.drain()
  const before = hand.released
  releaseWaiting()
  await attempts.quiet(handlersOver)
  // Including handlers of lost deliveries: they hold marks in the idempotency store, and nobody renews those after this.
  const abandoned = attempts.underWay()
  const seen = abandoned.filter(
    ({ inHand, session }) => !inHand.ended && session === subscriber.session,
  ).length
  for (const { inHand, session } of abandoned) {
    inHand.abort(new MessagingError('closed', 'The consumer stopped before the handler ended'))
    emit('abandoned', inHand.info)
    session.settle(inHand, { kind: 'release' })
  }
  // One deadline for all of it: a broker that hangs must not make each step wait.
  const deadline = clock.monotonic() + graceMs
  const bounded = (step: Promise<unknown>) => within(clock, Math.max(0, deadline - clock.monotonic()), step)
  await bounded(subscriber.ended())
  releaseWaiting()
  if (subscriber.session !== undefined) {
    await bounded(subscriber.session.settled())
    await bounded(subscriber.session.close())
  }
  return {
    abandoned: abandoned.map(({ inHand }) => inHand.message.id),
    released: hand.released - before - seen,
  }
}
