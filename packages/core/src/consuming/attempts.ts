import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Session } from '../deliveries/session.ts'
import type { ActiveHandler } from '../handling/handlers.ts'
import { Lanes, type Slots } from '../handling/lanes.ts'
import type { Processing } from '../handling/processing.ts'
import type { Clock } from '../lib/clock.ts'
import { Roster } from '../lib/roster.ts'

/** A queued delivery and the handler it is for. */
interface Task {
  readonly inHand: DeliveryInHand
  readonly handler: ActiveHandler
  readonly session: Session
  readonly laneKey: string | undefined
}

/** Leads deliveries through their lanes, slots and attempts to their verdicts. */
export class Attempts {
  readonly #processing: Processing
  readonly #slots: Slots
  readonly #clock: Clock
  readonly #lanes: Lanes<Task>
  readonly #running = new Roster<DeliveryInHand>()
  #whenQuiet: (() => void) | undefined
  #paused = false
  #draining = false

  constructor(processing: Processing, slots: Slots, clock: Clock) {
    this.#processing = processing
    this.#slots = slots
    this.#clock = clock
    this.#lanes = new Lanes((task) => void this.#drive(task))
  }

  /** How many handlers run. */
  get running(): number {
    return this.#slots.used
  }

  /** How long the oldest handler has been running, and the youngest; undefined when none runs. */
  ages(): { readonly oldestMs: number; readonly youngestMs: number } | undefined {
    const began = this.#running.all().flatMap(({ ranAt }) => ranAt ?? [])
    if (began.length === 0) return undefined
    const now = this.#clock.monotonic()
    const ages = began.map((ranAt) => now - ranAt)
    return {
      oldestMs: ages.reduce((oldest, age) => Math.max(oldest, age)),
      youngestMs: ages.reduce((youngest, age) => Math.min(youngest, age)),
    }
  }

  /** Whether every slot has been taken by the same handlers for so long: nothing is handled meanwhile. */
  isStuck(afterMs: number): boolean {
    return this.#slots.full && (this.ages()?.youngestMs ?? 0) >= afterMs
  }

  /** Those under way, deliveries among them that were lost meanwhile. */
  underWay(): readonly DeliveryInHand[] {
    return this.#running.all()
  }

  /** What no handler has seen goes back to the group when its turn comes. */
  pause(): void {
    this.#paused = true
    this.#slots.pause()
  }

  resume(): void {
    this.#paused = false
    this.#slots.resume()
  }

  /** What no handler has yet, and what fails, goes back to the group. */
  drain(): void {
    this.#draining = true
  }

  /** Looks at a delivery that has come and queues it for its handler, or settles it at once. */
  accept(session: Session, inHand: DeliveryInHand): void {
    const triaged = this.#processing.triage(inHand)
    if ('handler' in triaged) {
      if (!session.admit(inHand)) return
      inHand.enterLane()
      this.#lanes.add({ inHand, handler: triaged.handler, session, laneKey: inHand.laneKey })
    } else if (triaged.kind === 'settle') session.settle(inHand, triaged.verdict, triaged.settled)
  }

  /** Resolves once nothing is under way, or the signal fires. */
  quiet(over: AbortSignal): Promise<void> {
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

  /** A delivery's way through its attempts. */
  async #drive(task: Task): Promise<void> {
    const { inHand } = task
    // So that many of a lane that have ended do not call each other down the stack.
    if (inHand.ended) await Promise.resolve()
    while (!inHand.ended) await this.#attempt(task)
    // A key is free when the verdict is durable. When it was only given, the next of the key could still overtake.
    if (inHand.laneKey !== undefined) await inHand.whenSettled
    this.#lanes.done(task)
    inHand.leaveLane()
  }

  async #attempt({ inHand, handler, session }: Task): Promise<void> {
    if (this.#draining || (this.#paused && !inHand.seen)) {
      session.release([inHand])
      return
    }
    // Batches take their slots themselves, once they are full.
    const needsSlot = handler.collector === undefined
    if (needsSlot) {
      const slot = this.#slots.acquire()
      if (slot !== undefined) await slot
      if (inHand.ended) {
        this.#slots.release()
        return
      }
    }
    const place = this.#running.add(inHand)
    const disposition = await this.#processing.attempt(inHand, handler)
    this.#running.remove(place)
    if (needsSlot) this.#slots.release()
    this.#whenQuiet?.()
    if (disposition.kind === 'settle') session.settle(inHand, disposition.verdict, disposition.settled)
    else if (this.#draining) session.settle(inHand, { kind: 'release' })
    else await this.#backOff(inHand, disposition.delayMs, disposition.attempt)
  }

  async #backOff(inHand: DeliveryInHand, delayMs: number, attempt: number): Promise<void> {
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
    if (!inHand.ended) inHand.waitAgain(this.#clock.monotonic())
  }
}
