import type { Delivery } from '../driver.ts'
import type { DeliveryInfo } from '../events/events.ts'
import type { IdempotencyMark } from '../idempotency/idempotency.ts'
import type { Place } from '../lib/roster.ts'
import type { Message } from '../messages/message.ts'

/** What a handler gets beside the message. */
export interface HandlerContext {
  readonly message: Message
  /** Fires when the delivery is lost or the consumer stops without waiting any longer: the verdict counts no more. */
  readonly signal: AbortSignal
  /** 1 on the first, one more with each scheduled retry. */
  readonly attempt: number
  /** How often the broker has handed it out; also counts consumers that died. */
  readonly deliveries: number
  readonly topic: string
  readonly group: string
  /** What a store in the effect's own database marks as done within the handler's transaction. */
  readonly idempotencyKey: IdempotencyMark
}

/** Where a delivery is on its way through core. */
export type Stage =
  /** In a lane, or waiting for a slot or a batch to fill. */
  | 'waiting'
  | 'running'
  /** Waiting in process for its next attempt, its key held. */
  | 'held'
  /** Its verdict is given, or it is no longer ours. Whatever comes later is dropped. */
  | 'ended'

/** A delivery from its receipt until its verdict is durable. */
export class DeliveryInHand implements HandlerContext {
  readonly delivery: Delivery
  readonly topic: string
  readonly group: string
  readonly receivedAt: number
  stage: Stage = 'waiting'
  attempt: number
  /** When the latest attempt began; undefined before the first. */
  startedAt: number | undefined
  /** Told when the delivery ends while it waits for something other than a handler. */
  onEnd: (() => void) | undefined
  /** Told when the delivery leaves our hands before it has left its lane. */
  onSettled: (() => void) | undefined
  laneKey: string | undefined
  /** Among those its session has in hand. */
  place: Place<DeliveryInHand> | undefined
  /** The data has been upcast and validated. */
  prepared = false
  #message: Message | undefined
  #controller: AbortController | undefined
  #whenSettled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  #settled = false

  constructor(delivery: Delivery, topic: string, group: string, receivedAt: number) {
    this.delivery = delivery
    this.topic = topic
    this.group = group
    this.receivedAt = receivedAt
    this.attempt = delivery.attempt
  }

  get ended(): boolean {
    return this.stage === 'ended'
  }

  /** Its verdict is given, or it is no longer ours. */
  end(): void {
    this.stage = 'ended'
    this.onEnd?.()
  }

  get deliveries(): number {
    return this.delivery.deliveries
  }

  get message(): Message {
    if (this.#message === undefined) throw new Error('The delivery has not been decoded')
    return this.#message
  }

  set message(message: Message) {
    this.#message = message
  }

  // Made when it is first asked for: most handlers never look, and a controller costs more than the rest of this.
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  get idempotencyKey(): IdempotencyMark {
    const { id, metadata } = this.message
    return { group: this.group, source: metadata.source, id }
  }

  get info(): DeliveryInfo {
    const { topic, group, attempt, deliveries } = this
    return { topic, group, attempt, deliveries, message: this.#message }
  }

  abort(reason: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  /** Resolves once the attempt's verdict is durable at the broker or held here, or the delivery is lost. */
  get whenSettled(): Promise<void> {
    if (this.#settled) return Promise.resolve()
    this.#whenSettled ??= Promise.withResolvers<void>()
    return this.#whenSettled.promise
  }

  /** The verdict is to try again here: who waits for it is told, the next attempt gets a verdict of its own. */
  markHeld(): void {
    this.#whenSettled?.resolve()
    this.#whenSettled = undefined
  }

  /** Nobody counts it as in hand any more, though its handler may still run. */
  get isSettled(): boolean {
    return this.#settled
  }

  markSettled(): void {
    this.#settled = true
    this.onSettled?.()
    this.#whenSettled?.resolve()
  }
}
