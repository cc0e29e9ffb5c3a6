import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Session } from '../deliveries/session.ts'
import type { Disposition } from '../handling/endings.ts'
import type { ActiveHandler } from '../handling/handlers.ts'
import { Lanes, type Slots } from '../handling/lanes.ts'
import type { Processing } from '../handling/processing.ts'
import type { Unhandled } from '../handling/unhandled.ts'
import type { Clock } from '../lib/clock.ts'
import { Roster } from '../lib/roster.ts'
import { Turns } from '../lib/turns.ts'
import type { Membership } from './memberships.ts'

/** A delivery on its way, and the session it came by and is settled by. */
export interface Task {
  readonly inHand: DeliveryInHand
  readonly session: Session
  readonly laneKey: string | undefined
}

/**
 * Leads deliveries through their lanes, slots and attempts to their verdicts. What has no handler here is handled by the
 * attempts of another consumer of the group, with its slots, middleware and policies; the lane, which keeps the order of
 * a key, and the session remain those of the consumer that received it.
 */
export class Attempts {
  readonly #processing: Processing
  readonly #slots: Slots
  readonly #clock: Clock
  readonly #unhandled: Unhandled
  readonly #siblings: () => Membership<Attempts> | undefined
  readonly #lanes: Lanes<Task>
  readonly #turns = new Turns()
  readonly #ordered: boolean
  readonly #running = new Roster<Task>()
  /** Deliveries that other consumers handle for this one. */
  readonly #lent = new Roster<Task>()
  /** Deliveries that this one handles, or will handle, for others. */
  readonly #borrowed = new Roster<Task>()
  #whenQuiet: (() => void) | undefined
  #paused = false
  #draining = false

  constructor(
    processing: Processing,
    slots: Slots,
    clock: Clock,
    unhandled: Unhandled,
    siblings: () => Membership<Attempts> | undefined,
    ordered: boolean,
  ) {
    this.#processing = processing
    this.#slots = slots
    this.#clock = clock
    this.#unhandled = unhandled
    this.#siblings = siblings
    this.#ordered = ordered
    this.#lanes = new Lanes((task) => void this.#drive(task))
  }

  handles(type: string): boolean {
    return this.#processing.handles(type)
  }

  get takes(): boolean {
    return !this.#paused && !this.#draining
  }

  /** How many handlers run. */
  get running(): number {
    return this.#slots.used
  }

  /** How long the oldest handler has been running, and the youngest; undefined when none runs. */
  ages(): { readonly oldestMs: number; readonly youngestMs: number } | undefined {
    const began = this.#running.all().flatMap(({ inHand }) => inHand.ranAt ?? [])
    if (began.length === 0) return undefined
    const now = this.#clock.monotonic()
    const ages = began.map((ranAt) => now - ranAt)
    return {
      oldestMs: ages.reduce((oldest, age) => Math.max(oldest, age)),
      youngestMs: ages.reduce((youngest, age) => Math.min(youngest, age)),
    }
  }

  /** Whether the same handlers have held every slot for this long, so that nothing else is handled. */
  isStuck(afterMs: number): boolean {
    return this.#slots.full && (this.ages()?.youngestMs ?? 0) >= afterMs
  }

  /** Those under way, including deliveries that have been lost since. */
  underWay(): readonly Task[] {
    return [...this.#running.all(), ...this.#lent.all()]
  }

  /** What no handler has seen goes back to the group when its turn comes. */
  pause(): void {
    this.#paused = true
    this.#slots.pause()
    this.#giveBackBorrowed()
  }

  resume(): void {
    this.#paused = false
    this.#slots.resume()
  }

  /** What no handler has yet, and what fails, goes back to the group. */
  drain(): void {
    this.#draining = true
    this.#giveBackBorrowed()
  }

  /** Looks at a delivery that has come and queues it for its handler, or settles it at once. */
  accept(session: Session, inHand: DeliveryInHand): void {
    const triaged = this.#processing.triage(inHand)
    // What takes time to read is not overtaken by later messages of its key.
    const lane = this.#ordered ? (inHand.delivery.key ?? '') : undefined
    const inTurn = lane === undefined ? triaged : this.#turns.take(lane, triaged)
    if (inTurn instanceof Promise)
      void inTurn.then((disposition) => this.#admit(session, inHand, disposition))
    else this.#admit(session, inHand, inTurn)
  }

  #admit(session: Session, inHand: DeliveryInHand, triaged: Disposition | undefined): void {
    if (triaged?.kind === 'settle') settle({ inHand, session }, triaged)
    if (triaged?.kind === 'back-off') void this.#acceptLater(session, inHand, triaged.delayMs)
    if (triaged !== undefined || !session.admit(inHand)) return
    inHand.enterLane()
    this.#lanes.add({ inHand, session, laneKey: inHand.laneKey })
  }

  async #acceptLater(session: Session, inHand: DeliveryInHand, delayMs: number): Promise<void> {
    await this.#wait(inHand, delayMs, inHand.attempt)
    if (inHand.ended) return
    inHand.waitAgain(this.#clock.monotonic())
    this.accept(session, inHand)
  }

  /** Resolves once nothing is under way, or the signal fires. */
  quiet(over: AbortSignal): Promise<void> {
    const isBusy = () => !over.aborted && this.#running.size + this.#lent.size > 0
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

  /** A delivery's way through its attempts. */
  async #drive(task: Task): Promise<void> {
    const { inHand } = task
    // Otherwise many ended deliveries of a lane would call each other down the stack.
    if (inHand.ended) await Promise.resolve()
    while (!inHand.ended) await this.#attempt(task)
    // A key is free once the verdict is durable. Before that, the next message of the key could still overtake.
    if (inHand.laneKey !== undefined) await inHand.whenSettled
    this.#lanes.done(task)
    inHand.leaveLane()
  }

  async #attempt(task: Task): Promise<void> {
    const { inHand, session } = task
    if (this.#draining || (this.#paused && !inHand.seen)) {
      session.release([inHand])
      return
    }
    const handler = this.#processing.handlerOf(inHand)
    if (handler !== undefined) return this.#handle(task, handler)
    const { type } = inHand.message
    const siblings = this.#siblings()
    const taking = siblings?.taking(type)
    if (taking !== undefined) return taking.#handleFor(this, task)
    const disposition = await this.#unhandled.decide(inHand, siblings)
    await this.#conclude(task, disposition)
  }

  /** Handles what another consumer of the group has received. */
  async #handleFor(holder: Attempts, task: Task): Promise<void> {
    const handler = this.#processing.handlerOf(task.inHand)
    if (handler === undefined) return
    const place = this.#borrowed.add(task)
    await this.#handle(task, handler, holder)
    this.#borrowed.remove(place)
  }

  async #handle(task: Task, handler: ActiveHandler, holder: Attempts = this): Promise<void> {
    const { inHand } = task
    const { gate } = handler
    if (gate !== undefined) {
      const passing = gate.pass(inHand, holder !== this)
      const passage = passing instanceof Promise ? await passing : passing
      if (passage.kind === 'ended') return
      if (passage.kind !== 'passed')
        return holder.#conclude(task, this.#processing.turnedAway(inHand, handler, passage))
    }
    // A batch takes its slot itself, once it is full.
    const needsSlot = handler.collector === undefined
    if (needsSlot) {
      const slot = this.#slots.acquire()
      if (slot !== undefined) await slot
      if (inHand.ended) {
        this.#slots.release()
        gate?.leave(inHand)
        return
      }
    }
    const place = this.#running.add(task)
    const lent = holder === this ? undefined : holder.#lent.add(task)
    const disposition = await this.#processing.attempt(inHand, handler)
    this.#running.remove(place)
    if (needsSlot) this.#slots.release()
    gate?.leave(inHand)
    this.#whenQuiet?.()
    if (lent !== undefined) holder.#lent.remove(lent)
    holder.#whenQuiet?.()
    await holder.#conclude(task, disposition)
  }

  async #conclude({ inHand, session }: Task, disposition: Disposition): Promise<void> {
    if (disposition.kind === 'settle') settle({ inHand, session }, disposition)
    else if (this.#draining) session.settle(inHand, { kind: 'release' })
    else await this.#backOff({ inHand, session }, disposition)
  }

  // What no handler has seen yet would wait here and take up room of the consumer that received it.
  #giveBackBorrowed(): void {
    for (const { inHand, session } of this.#borrowed.all()) {
      if (inHand.state === 'waiting') session.release([inHand])
    }
  }

  async #backOff(
    { inHand, session }: Pick<Task, 'inHand' | 'session'>,
    { delayMs, attempt, isUsed }: Extract<Disposition, { kind: 'back-off' }>,
  ): Promise<void> {
    await this.#wait(inHand, delayMs, attempt)
    if (inHand.ended) return
    const spoilt = isUsed === true ? await this.#processing.reread(inHand) : undefined
    if (spoilt?.kind === 'settle') settle({ inHand, session }, spoilt)
    else if (!inHand.ended) inHand.waitAgain(this.#clock.monotonic())
    if (spoilt?.kind === 'back-off') await this.#backOff({ inHand, session }, spoilt)
  }

  async #wait(inHand: DeliveryInHand, delayMs: number, attempt: number): Promise<void> {
    // It can have been lost while the handler ran.
    if (inHand.ended) return
    inHand.backOff(attempt, this.#clock.monotonic())
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve)
      inHand.onEnd(() => {
        cancel()
        resolve()
      })
    })
  }
}

function settle(
  { inHand, session }: Pick<Task, 'inHand' | 'session'>,
  { verdict, settled, isHandled }: Extract<Disposition, { kind: 'settle' }>,
): void {
  if (isHandled) inHand.handled()
  session.settle(inHand, verdict, settled)
}
