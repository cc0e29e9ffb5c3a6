import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { Session } from '../deliveries/session.ts'
import type { Driver, GroupSpec, SubscriptionRequest } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import type { ActiveHandler } from '../handling/handlers.ts'
import { Lanes, type Slots } from '../handling/lanes.ts'
import type { Processing } from '../handling/processing.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { Roster } from '../lib/roster.ts'
import { within } from '../lib/within.ts'
import type { Topic } from '../messages/topic.ts'
import type { Provisioner } from '../topology/provisioner.ts'

export interface WorkerSettings {
  readonly driver: Driver
  readonly provisioner: Provisioner
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: Topic
  readonly group: GroupSpec
  readonly prefetch: number
  readonly maxPrefetch: number
  readonly leaseMs: number
  readonly maxLeaseMs: number
  readonly broadcast: boolean
}

/** How a worker stands, for `health()`. */
export interface WorkerHealth {
  readonly topic: string
  readonly group: string
  /** `recovering`: the subscription was lost, or could not be had yet; it is tried again with backoff. */
  readonly state: 'starting' | 'running' | 'paused' | 'recovering' | 'stopped'
  readonly error?: MessagingError
  /** Deliveries in hand: running, queued, held for their next attempt, or being settled. */
  readonly inFlight: number
  /** Handlers that run now. */
  readonly running: number
}

export interface StopReport {
  /** Ids of messages whose handler was still running when the time was over; they go back to the group. */
  readonly abandoned: readonly string[]
  /** How many messages in hand no handler had seen; they went back to the group. */
  readonly released: number
}

/** A queued delivery and the handler it is for. */
interface Task {
  readonly inHand: DeliveryInHand
  readonly handler: ActiveHandler
  readonly session: Session
  readonly laneKey: string | undefined
}

// What a broker gets for settling, giving back and unsubscribing once the handlers are through.
const graceMs = 3000

/** A consumer on one topic: subscribes, keeps the handlers busy, recovers, drains. */
export class Worker {
  readonly #settings: WorkerSettings
  readonly #processing: Processing
  readonly #slots: Slots
  readonly #lanes: Lanes<Task>
  readonly #stopping = new AbortController()
  readonly #started = Promise.withResolvers<void>()
  #receiving = new AbortController()
  #resumed: (() => void) | undefined
  #paused = false
  #session: Session | undefined
  #state: WorkerHealth['state'] = 'starting'
  #error: MessagingError | undefined
  readonly #running = new Roster<DeliveryInHand>()
  /** Deliveries that are no longer in hand, but whose handler runs, or which wait behind it in a lane or for a slot. */
  #strays = 0
  #whenQuiet: (() => void) | undefined
  #supervised: Promise<void> | undefined

  constructor(settings: WorkerSettings, processing: Processing, slots: Slots) {
    this.#settings = settings
    this.#processing = processing
    this.#slots = slots
    this.#lanes = new Lanes((task) => void this.#drive(task))
    // Whoever starts the worker hears of it; nobody else needs to.
    this.#started.promise.catch(() => {})
  }

  /**
   * Resolves once subscribed. While the broker is away it keeps trying until the signal fires; an error that will not
   * go away by itself rejects.
   */
  async start(signal: AbortSignal): Promise<void> {
    this.#supervised ??= this.#supervise()
    const onAbort = () => {
      const why = this.#error === undefined ? '' : `; the last try failed with: ${this.#error.message}`
      this.#started.reject(
        new MessagingError('aborted', `Starting ${this.#what} was ended before it was subscribed${why}`, {
          cause: this.#error ?? signal.reason,
        }),
      )
    }
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#started.promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  pause(): void {
    this.#paused = true
    this.#slots.pause()
    this.#receiving.abort()
    this.#releaseWaiting(['waiting'])
  }

  resume(): void {
    this.#paused = false
    this.#slots.resume()
    this.#resumed?.()
  }

  /** Takes nothing new, lets handlers finish until the signal fires, gives the rest back. */
  async stop(handlersOver: AbortSignal): Promise<StopReport> {
    const { clock, emit } = this.#settings
    this.#stopping.abort()
    this.#receiving.abort()
    this.#resumed?.()
    this.#started.reject(
      new MessagingError('closed', `The ${this.#what} was stopped before it was subscribed`),
    )
    let released = this.#releaseWaiting(['waiting', 'held'])
    await this.#quiet(handlersOver)
    // Handlers of deliveries that were lost among them: they hold marks of the idempotency store, which nobody renews
    // once this has stopped.
    const abandoned = this.#running.all()
    for (const inHand of abandoned) {
      inHand.abort(new MessagingError('closed', 'The consumer stopped without waiting any longer'))
      emit('abandoned', inHand.info)
      this.#session?.settle(inHand, { kind: 'release' })
    }
    // One deadline for all of it: a broker that hangs must not make each step wait.
    const deadline = clock.now() + graceMs
    const bounded = (step: Promise<unknown>) => within(clock, Math.max(0, deadline - clock.now()), step)
    if (this.#supervised !== undefined) await bounded(this.#supervised)
    released += this.#releaseWaiting(['waiting', 'held'])
    if (this.#session !== undefined) {
      await bounded(this.#session.settled())
      await bounded(this.#session.close())
    }
    this.#state = 'stopped'
    return { abandoned: abandoned.map(({ message }) => message.id), released }
  }

  health(): WorkerHealth {
    const error = this.#error ?? this.#session?.error
    const state = this.#state === 'running' && this.#paused ? 'paused' : this.#state
    return {
      topic: this.#settings.topic.name,
      group: this.#settings.group.name,
      state,
      ...(error !== undefined && { error }),
      inFlight: this.#session?.size ?? 0,
      running: this.#slots.used,
    }
  }

  get #what(): string {
    return `consumer ${this.#settings.group.name} on topic ${this.#settings.topic.name}`
  }

  async #supervise(): Promise<void> {
    const { clock } = this.#settings
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      try {
        const session = await this.#subscribe()
        if (this.#stopping.signal.aborted) {
          // Nobody may be waiting for it any more.
          await session.close()
          break
        }
        this.#session = session
        this.#state = 'running'
        this.#error = undefined
        this.#started.resolve()
        await this.#receive(session)
        return
      } catch (thrown) {
        const broken = this.#session
        this.#session = undefined
        failures = broken?.receivedAny ? 1 : failures + 1
        if (!this.#stopping.signal.aborted && !this.#noteFailure(thrown)) return
        if (broken !== undefined) await within(clock, graceMs, broken.close())
        await sleep(clock, reconnectBackoff(failures), this.#stopping.signal)
      }
    }
  }

  /** False when it makes no sense to go on. */
  #noteFailure(thrown: unknown): boolean {
    const { emit, provisioner, topic } = this.#settings
    const error = toMessagingError(thrown, `The ${this.#what} failed`)
    this.#error = error
    emit('failure', { what: this.#what, error })
    if (error.code === 'topology-missing') provisioner.forget(topic)
    if (this.#state !== 'starting') this.#state = 'recovering'
    else if (!error.retryable) {
      this.#state = 'stopped'
      this.#started.reject(error)
      return false
    }
    return true
  }

  async #subscribe(): Promise<Session> {
    const { driver, provisioner, topic, group, prefetch, maxPrefetch, leaseMs, broadcast } = this.#settings
    await (broadcast ? provisioner.topic(topic) : provisioner.group(topic, group))
    const request: SubscriptionRequest = { topic, group, prefetch, maxPrefetch, leaseMs, broadcast }
    const subscription = await driver.subscribe(request)
    const strays = () => this.#strays
    return new Session(subscription, { ...this.#settings, topic: topic.name, group: group.name, strays })
  }

  async #receive(session: Session): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (this.#paused) {
        await new Promise<void>((resolve) => {
          this.#resumed = resolve
        })
        continue
      }
      this.#receiving = new AbortController()
      await session.receive(this.#receiving.signal, (inHand) => this.#accept(session, inHand))
    }
  }

  #accept(session: Session, inHand: DeliveryInHand): void {
    if (this.#receiving.signal.aborted) {
      // It came after stop or pause: straight back, no handler has seen it.
      session.settle(inHand, { kind: 'release' })
      return
    }
    const triaged = this.#processing.triage(inHand)
    if ('handler' in triaged) {
      inHand.onSettled = this.#addStray
      this.#lanes.add({ inHand, handler: triaged.handler, session, laneKey: inHand.laneKey })
    } else if (triaged.kind === 'settle') session.settle(inHand, triaged.verdict, triaged.settled)
  }

  /** A delivery's way through its attempts. */
  async #drive(task: Task): Promise<void> {
    const { inHand, handler, session } = task
    const { clock } = this.#settings
    // So that many of a lane that have ended do not call each other down the stack.
    if (inHand.ended) await Promise.resolve()
    while (!inHand.ended) {
      const needsSlot = handler.collector === undefined
      if (needsSlot) {
        const slot = this.#slots.acquire()
        if (slot !== undefined) await slot
        if (inHand.ended) {
          this.#slots.release()
          break
        }
        inHand.stage = 'running'
      } else inHand.stage = 'waiting'
      const place = this.#running.add(inHand)
      const disposition = await this.#processing.attempt(inHand, handler)
      this.#running.remove(place)
      if (needsSlot) this.#slots.release()
      this.#whenQuiet?.()
      if (disposition.kind === 'settle') session.settle(inHand, disposition.verdict, disposition.settled)
      else if (this.#stopping.signal.aborted) session.settle(inHand, { kind: 'release' })
      else await this.#hold(inHand, disposition, clock)
    }
    this.#lanes.done(task)
    inHand.onSettled = undefined
    if (!inHand.isSettled) return
    this.#strays -= 1
    this.#session?.wake()
  }

  readonly #addStray = (): void => {
    this.#strays += 1
  }

  async #hold(
    inHand: DeliveryInHand,
    { delayMs, attempt }: { delayMs: number; attempt: number },
    clock: Clock,
  ) {
    // It can have been lost while the handler ran.
    if (inHand.ended) return
    inHand.stage = 'held'
    inHand.attempt = attempt
    inHand.markHeld()
    await sleep(clock, delayMs, inHand.signal)
  }

  #releaseWaiting(stages: readonly DeliveryInHand['stage'][]): number {
    const released = this.#session?.inHand().filter(({ stage }) => stages.includes(stage)) ?? []
    const held = released.filter(({ stage }) => stage === 'held')
    this.#session?.release(released)
    // Ends their wait. A signal for each of those that no handler has seen would cost more than all the rest of it.
    for (const inHand of held) inHand.abort(new MessagingError('closed', 'The delivery was given back'))
    return released.length
  }

  /** Resolves once no handler runs, or the signal fires. */
  #quiet(over: AbortSignal): Promise<void> {
    const isBusy = () => !over.aborted && this.#running.size > 0
    return new Promise((resolve) => {
      const check = () => {
        if (isBusy()) return
        over.removeEventListener('abort', check)
        resolve()
      }
      this.#whenQuiet = check
      over.addEventListener('abort', check)
      check()
    })
  }
}
