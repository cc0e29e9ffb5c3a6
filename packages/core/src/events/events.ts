import { EventEmitter } from 'node:events'
import type { DriverEvent } from '../driver.ts'
import { ConfigurationError, describe, type MessagingError, toError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'

/** The delivery that an event is about. */
export interface DeliveryInfo {
  readonly topic: string
  readonly group: string
  readonly attempt: number
  readonly deliveries: number
  /** Undefined when the body could not be decoded. */
  readonly message: Message | undefined
}

type DriverEvents = {
  [Type in DriverEvent['type']]: [Omit<Extract<DriverEvent, { type: Type }>, 'type'>]
}

/** What `bus.on` can listen to. */
export interface BusEvents extends DriverEvents {
  /** The broker has taken responsibility for a message. */
  sent: [{ readonly topic: string; readonly message: Message }]
  /** A pull loop was given a message; emitted in the loop's async context. */
  received: [DeliveryInfo]
  /** A handler resolved; `durationMs` is how long it took. */
  handled: [DeliveryInfo & { readonly durationMs: number }]
  /** An attempt failed, and the next one is scheduled. */
  retried: [DeliveryInfo & { readonly delayMs: number; readonly error: Error }]
  /** A message was moved to the dead letters. */
  deadLettered: [DeliveryInfo & { readonly reason: string; readonly error: Error | undefined }]
  /** A message of a type that nobody in the group has ever asked for was skipped: acked without being handled. */
  unhandled: [DeliveryInfo]
  /**
   * A message was given back for others, because no consumer here handles its type at the moment but the group has asked for
   * it. If nobody takes it, it goes to the dead letters as `unhandled`.
   */
  deferred: [DeliveryInfo & { readonly delayMs: number }]
  /** A handler or a middleware threw `SkipMessage`: the message was acked without being handled. */
  skipped: [DeliveryInfo & { readonly reason: string }]
  /** A message past its expiry was dropped. */
  expired: [DeliveryInfo]
  /** A message that already had its effect, by the idempotency store or in this process, was acked (`done`), or waits for the one that has it (`processing`). */
  duplicate: [DeliveryInfo & { readonly state: 'done' | 'processing' }]
  /** A delivery stopped being ours while it was in hand; its outcome is ignored. */
  lost: [DeliveryInfo]
  /** A broadcast message was given up; broadcasts have no dead letters. */
  dropped: [DeliveryInfo & { readonly reason: string; readonly error: Error | undefined }]
  /** A handler was still running when `stop` ran out of time; its message goes back to the group. */
  abandoned: [DeliveryInfo]
  /**
   * All handlers that may run at once have been running longer than the consumer's `stuckAfter`: nothing else is handled.
   * Emitted once, until one of them ends; `health()` shows it too.
   */
  stuck: [
    {
      readonly topic: string
      readonly group: string
      readonly running: number
      readonly oldestRunningMs: number
    },
  ]
  /**
   * The circuit breaker of a handler has opened, tries whether it can close (`half-open`), or has closed. `error` is what opened
   * it; `types` is the handler's type or pattern.
   */
  breaker: [
    {
      readonly topic: string
      readonly group: string
      readonly types: string
      readonly state: 'open' | 'half-open' | 'closed'
      readonly error: Error | undefined
    },
  ]
  /**
   * A message was given back for a while, because its handler's rate limit, concurrency or circuit breaker held it up and others
   * need its room. No attempt is counted.
   */
  postponed: [DeliveryInfo & { readonly delayMs: number }]
  /** Something failed that no caller can learn from a rejection; core keeps trying. `health()` shows it too. */
  failure: [{ readonly what: string; readonly error: MessagingError }]
}

export type BusListener<Name extends keyof BusEvents> = (event: BusEvents[Name][0]) => void

/** Any event with its name, as an observer hears it. */
export type AnyBusEvent = {
  [Name in keyof BusEvents]: { readonly name: Name; readonly event: BusEvents[Name][0] }
}[keyof BusEvents]

export interface ObserverOptions {
  /**
   * True if the observer brings failures before people, as a log does: then none is written to the console for want of a
   * listener. Default: false.
   */
  readonly reports?: boolean
}

/** Listeners by the event's name, for `connect({ on })`. */
export type BusListeners = { readonly [Name in keyof BusEvents]?: BusListener<Name> }

// A record, so that the compiler asks for each event there is.
const known: Readonly<Record<keyof BusEvents, true>> = {
  connected: true,
  disconnected: true,
  blocked: true,
  unblocked: true,
  warning: true,
  sent: true,
  received: true,
  handled: true,
  retried: true,
  deadLettered: true,
  unhandled: true,
  deferred: true,
  skipped: true,
  expired: true,
  duplicate: true,
  lost: true,
  dropped: true,
  abandoned: true,
  stuck: true,
  breaker: true,
  postponed: true,
  failure: true,
}

function isEvent(name: unknown): name is keyof BusEvents {
  return typeof name === 'string' && Object.hasOwn(known, name)
}

function isListener(value: unknown): value is (event: unknown) => unknown {
  return typeof value === 'function'
}

/** @throws {ConfigurationError} when there is no such event, or the listener is not a function. */
function check(name: unknown, listener: unknown, what: string): void {
  const message = isEvent(name)
    ? typeof listener !== 'function' && `expected a function, not ${describe(listener)}`
    : `there is no such event; there are ${Object.keys(known).join(', ')}`
  if (message !== false) throw new ConfigurationError(what, [{ path: String(name), message }])
}

/** How the parts of the bus emit events. */
export type Emit = <Name extends keyof BusEvents>(name: Name, event: BusEvents[Name][0]) => void

/** A bus's events. A listener that throws or rejects is reported as a process warning and disturbs nothing else. */
export class BusEmitter {
  readonly #emitter = new EventEmitter().setMaxListeners(0)
  readonly #unheard: Emit | undefined
  #observers: readonly Observer[] = []

  /** `unheard` gets the events that have no listener. */
  constructor(unheard?: Emit) {
    this.#unheard = unheard
  }

  on<Name extends keyof BusEvents>(name: Name, listener: BusListener<Name>): void {
    check(name, listener, 'listener')
    this.#emitter.on(name, listener)
  }

  /** As `on`, for a caller who does not know that it is an event. */
  listen(name: unknown, listener: unknown): void {
    check(name, listener, 'listener')
    if (isEvent(name) && isListener(listener)) this.#emitter.on(name, listener)
  }

  off<Name extends keyof BusEvents>(name: Name, listener: BusListener<Name>): void {
    check(name, listener, 'listener')
    this.#emitter.off(name, listener)
  }

  /** Tells the observer of every event, until the result is called. */
  observe(tell: (event: AnyBusEvent) => unknown, { reports = false }: ObserverOptions = {}): () => void {
    if (typeof tell !== 'function') {
      const message = `expected a function, not ${describe(tell)}`
      throw new ConfigurationError('observer', [{ path: 'observer', message }])
    }
    const observer: Observer = { tell, reports }
    this.#observers = [...this.#observers, observer]
    return () => {
      this.#observers = this.#observers.filter((each) => each !== observer)
    }
  }

  onAll(listeners: BusListeners): void {
    for (const [name, listener] of Object.entries(listeners)) {
      check(name, listener, 'listener')
      this.#emitter.on(name, listener)
    }
  }

  readonly emit: Emit = (name, event) => {
    const observers = this.#observers
    if (observers.length > 0) {
      const any = { name, event }
      for (const { tell } of observers) run(name, tell, any)
    }
    if (this.#emitter.listenerCount(name) === 0) {
      if (!observers.some(({ reports }) => reports)) this.#tellUnheard(name, event)
      return
    }
    // Not with the emitter's own `emit`, which skips the remaining listeners when one throws.
    for (const listener of this.#emitter.listeners(name)) run(name, listener, event)
  }

  // The emitter still has to finish its delivery, so nothing may throw here.
  readonly #tellUnheard: Emit = (name, event) => {
    try {
      this.#unheard?.(name, event)
    } catch (error) {
      process.emitWarning(`The event "${name}" could not be written: ${describe(error)}`, 'WaybillWarning')
    }
  }
}

interface Observer {
  readonly tell: (event: AnyBusEvent) => unknown
  readonly reports: boolean
}

// Typed loosely: the compiler cannot relate an event to the listener of its name.
function run(name: string, listener: unknown, event: unknown): void {
  if (!isListener(listener)) return
  try {
    const result = listener(event)
    if (result instanceof Promise) result.catch((error: unknown) => warn(name, error))
  } catch (error) {
    warn(name, error)
  }
}

function warn(name: string, thrown: unknown): void {
  process.emitWarning(`A listener of "${name}" threw: ${toError(thrown).message}`, 'WaybillWarning')
}
