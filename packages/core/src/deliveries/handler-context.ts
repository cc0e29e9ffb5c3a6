import type { IdempotencyMark } from '../idempotency/idempotency.ts'
import type { Message } from '../messages/message.ts'

/** How a handler gets a message: by itself, in a batch (`onBatch`), or in a pull loop (`bus.receive`). */
export type HandlingMode = 'single' | 'batch' | 'pull'

/** What a handler gets beside the message. A plain object to its user: it can be spread and logged. */
export interface HandlerContext {
  readonly message: Message
  /**
   * Fires when the delivery is lost, the attempt has taken too long, or the consumer stops before the handler has ended:
   * the outcome is then ignored.
   */
  readonly signal: AbortSignal
  /** 1 on the first, one more with each scheduled retry. */
  readonly attempt: number
  /** How often the broker has handed this copy out, for people: it may count releases too. */
  readonly deliveries: number
  readonly topic: string
  readonly group: string
  /** How it gets the message: middleware sees each message of a batch by itself, before there is a batch. */
  readonly mode: HandlingMode
  /** What a store in the effect's own database marks as done within the handler's transaction. */
  readonly idempotencyKey: IdempotencyMark
}

/** What a view is made of: a delivery, by what its view needs of it. */
interface Viewed extends HandlerContext {
  readonly whenSettled: Promise<void>
  abort(reason: Error): void
}

/** The view of one attempt that its middleware and handler share. Nothing inside core can be reached through it. */
export class AttemptContext implements HandlerContext {
  readonly message: Message
  declare readonly signal: AbortSignal
  readonly attempt: number
  readonly deliveries: number
  readonly topic: string
  readonly group: string
  readonly mode: HandlingMode
  readonly idempotencyKey: IdempotencyMark
  readonly #delivery: Viewed

  // An own property, so that spreading yields it, but not made before it is asked for: most handlers never look, and a
  // controller costs more than the rest of a delivery. One getter for all, since a closure each costs a lot as well.
  static readonly #signal = {
    enumerable: true,
    get(this: AttemptContext): AbortSignal {
      return this.#delivery.signal
    },
  }

  constructor(delivery: Viewed) {
    this.message = delivery.message
    this.attempt = delivery.attempt
    this.deliveries = delivery.deliveries
    this.topic = delivery.topic
    this.group = delivery.group
    this.mode = delivery.mode
    this.idempotencyKey = delivery.idempotencyKey
    this.#delivery = delivery
    Object.defineProperty(this, 'signal', AttemptContext.#signal)
  }

  /** Resolves once the attempt's verdict is durable or its next attempt is scheduled, or the delivery is lost. */
  static whenSettled(context: HandlerContext): Promise<void> {
    return #delivery in context ? context.#delivery.whenSettled : Promise.resolve()
  }

  /** Tells the handler that its outcome will be ignored. */
  static abort(context: HandlerContext, reason: Error): void {
    if (#delivery in context) context.#delivery.abort(reason)
  }
}
