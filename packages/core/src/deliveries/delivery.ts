import { headerNames } from '../driver/transport-headers.ts'
import type { Delivery } from '../driver.ts'
import type { DeliveryInfo } from '../events/events.ts'
import type { IdempotencyMark } from '../idempotency/idempotency.ts'
import type { Place } from '../lib/roster.ts'
import type { Message } from '../messages/message.ts'
import { AttemptContext, type HandlerContext, type HandlingMode } from './handler-context.ts'

/** Where a delivery is on its way through core. */
export type DeliveryState =
  /** In a lane, or waiting for a slot or for a batch to fill. */
  | 'waiting'
  /** A handler has it. */
  | 'running'
  /** Its attempt failed; it waits in this process for the next one, and its key waits with it. */
  | 'backing-off'
  /** Its verdict is given but not yet durable at the broker. */
  | 'settling'
  /** Its verdict is durable. */
  | 'settled'
  /** It is no longer ours; whatever is said about it is ignored. */
  | 'lost'

const transitions: Readonly<Record<DeliveryState, readonly DeliveryState[]>> = {
  // Straight to `backing-off`: a duplicate, which waits for the one being handled and never runs.
  waiting: ['running', 'backing-off', 'settling', 'lost'],
  running: ['backing-off', 'settling', 'lost'],
  'backing-off': ['waiting', 'settling', 'lost'],
  settling: ['settled', 'lost'],
  settled: [],
  lost: [],
}

/** What all deliveries of one fetch have in common. */
export interface Receipt {
  readonly topic: string
  readonly group: string
  /** By the wall clock. */
  readonly receivedAt: number
  /** By the monotonic clock. */
  readonly since: number
}

/** Who keeps count of deliveries: see `Hand`. */
export interface DeliveryOwner {
  join(delivery: DeliveryInHand): Place<DeliveryInHand>
  /** It is settled or lost. */
  leave(place: Place<DeliveryInHand>): void
  /** It is settled or lost, and nothing in this process is still busy with it. */
  vacate(): void
}

/** A delivery from its receipt until its verdict is durable: one of the states above, and only the moves listed there. */
export class DeliveryInHand {
  readonly delivery: Delivery
  readonly topic: string
  readonly group: string
  /** By the wall clock. All other times here are monotonic. */
  readonly receivedAt: number
  /** When it came into our hands. */
  readonly heldSince: number
  /** If it goes back, then to another member of the group, which may have the handler that is missing here. */
  isForOthers = false
  /** How its handler gets it. */
  mode: HandlingMode = 'single'
  /** The span in which it failed last. */
  failedIn: string | undefined
  readonly #owner: DeliveryOwner
  readonly #place: Place<DeliveryInHand>
  #state: DeliveryState = 'waiting'
  #since: number
  #attempt: number
  #message: Message | undefined
  #laneKey: string | undefined
  #inLane = false
  #seen = false
  #ranAt: number | undefined
  #context: AttemptContext | undefined
  #controller: AbortController | undefined
  #signalTaken = false
  #handled = false
  #onEnd: (() => void) | undefined
  #whenSettled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  constructor(delivery: Delivery, { topic, group, receivedAt, since }: Receipt, owner: DeliveryOwner) {
    this.delivery = delivery
    this.topic = topic
    this.group = group
    this.receivedAt = receivedAt
    this.heldSince = since
    this.#since = since
    this.#attempt = delivery.attempt
    this.failedIn = delivery.headers[headerNames.failedIn]
    this.#owner = owner
    this.#place = owner.join(this)
  }

  get state(): DeliveryState {
    return this.#state
  }

  /** When it came into its state. */
  get since(): number {
    return this.#since
  }

  /** When its present attempt reached the handler. */
  get ranAt(): number | undefined {
    return this.#ranAt
  }

  /** A handler has had it in this process. */
  get seen(): boolean {
    return this.#seen
  }

  /** Its verdict is given, or it is no longer ours. */
  get ended(): boolean {
    return this.#state === 'settling' || this.isSettled
  }

  /** Its handler has done its work, as far as anybody can tell. */
  get isHandled(): boolean {
    return this.#handled
  }

  /** It is out of our hands, though its handler may still run. */
  get isSettled(): boolean {
    return this.#state === 'settled' || this.#state === 'lost'
  }

  get attempt(): number {
    return this.#attempt
  }

  get deliveries(): number {
    return this.delivery.deliveries
  }

  get message(): Message {
    if (this.#message === undefined) throw new Error('The delivery has not been decoded')
    return this.#message
  }

  /** What it must not overtake and what must not overtake it; undefined: it waits for nobody. */
  get laneKey(): string | undefined {
    return this.#laneKey
  }

  get idempotencyKey(): IdempotencyMark {
    const { group, topic } = this
    const { type, id, metadata } = this.message
    return { group, topic, type, source: metadata.source, id }
  }

  get info(): DeliveryInfo {
    const { topic, group, attempt, deliveries } = this
    return { topic, group, attempt, deliveries, message: this.#message }
  }

  // Made when it is first asked for: most handlers never look, and a controller costs more than the rest of this.
  get signal(): AbortSignal {
    this.#signalTaken = true
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  /** The view of the present attempt, one object for its middleware and its handler. */
  get context(): HandlerContext {
    this.#context ??= new AttemptContext(this)
    return this.#context
  }

  /** Its message takes time to read; `laneKey` is what is known of its order until then. */
  reading(laneKey: string | undefined): void {
    this.#laneKey = laneKey
  }

  /** Whether its message has been read. */
  get isRead(): boolean {
    return this.#message !== undefined
  }

  /** Takes the message as it was sent. */
  read(message: Message, laneKey: string | undefined): void {
    this.#message = message
    this.#laneKey = laneKey
  }

  /** Takes the message as its schema made it. */
  validated(message: Message): void {
    this.#message = message
  }

  enterLane(): void {
    this.#inLane = true
  }

  leaveLane(): void {
    this.#inLane = false
    if (this.isSettled) this.#owner.vacate()
  }

  /** `waiting` → `running`. */
  run(now: number): void {
    this.#move('running', now)
    this.#seen = true
    this.#ranAt = now
    this.#onEnd = undefined
  }

  /** `running` → `backing-off`. Those who wait for the attempt's verdict are notified; the next attempt has its own. */
  backOff(attempt: number, now: number): void {
    this.#move('backing-off', now)
    this.#attempt = attempt
    this.#ranAt = undefined
    this.#context = undefined
    this.#controller = undefined
    this.#signalTaken = false
    this.#whenSettled?.resolve()
    this.#whenSettled = undefined
  }

  /** Its handler resolved. One that looked at its signal, and was told that it need not go on, may have left its work undone. */
  handled(): void {
    this.#handled = !this.#signalTaken || this.#controller?.signal.aborted !== true
  }

  /** `backing-off` → `waiting`. */
  waitAgain(now: number): void {
    this.#move('waiting', now)
  }

  /** Its verdict is given: → `settling`. */
  end(now: number): void {
    this.#move('settling', now)
    this.#onEnd?.()
  }

  /** `settling` → `settled`. */
  settle(now: number): void {
    this.#move('settled', now)
    this.#leave()
  }

  /** It is no longer ours: → `lost`. Its handler hears of it. */
  lose(reason: Error, now: number): void {
    const wasEnded = this.ended
    this.#move('lost', now)
    if (!wasEnded) this.#onEnd?.()
    this.abort(reason)
    this.#leave()
  }

  /** Tells the handler that its outcome will be ignored. */
  abort(reason: Error): void {
    this.#controller ??= new AbortController()
    this.#controller.abort(reason)
  }

  /** Called once when it ends before a handler has it, or before its next attempt. Replaces the listener before. */
  onEnd(listener: (() => void) | undefined): void {
    this.#onEnd = listener
  }

  /** Resolves once the attempt's verdict is durable or its next attempt is scheduled, or the delivery is lost. */
  get whenSettled(): Promise<void> {
    if (this.isSettled) return Promise.resolve()
    this.#whenSettled ??= Promise.withResolvers<void>()
    return this.#whenSettled.promise
  }

  #leave(): void {
    this.#owner.leave(this.#place)
    if (!this.#inLane) this.#owner.vacate()
    this.#whenSettled?.resolve()
  }

  #move(to: DeliveryState, now: number): void {
    if (!transitions[this.#state].includes(to)) {
      throw new Error(`A delivery that is ${this.#state} cannot become ${to}`)
    }
    this.#state = to
    this.#since = now
  }
}
