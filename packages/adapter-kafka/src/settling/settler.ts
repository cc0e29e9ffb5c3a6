import {
  type Clock,
  type Delivery,
  MessagingError,
  type Outcome,
  type Settlement,
} from '@waybill/core/driver'
import { done, failed } from '@waybill/core/driver-kit'
import type { Committer } from './committer.ts'
import type { Copies } from './copies.ts'
import type { KafkaDelivery, Waiting } from './partition.ts'
import { unlessAborted } from './unless-aborted.ts'
import { VerdictCopies } from './verdict-copies.ts'

/** How long a message that could not be dead-lettered waits before it is handled again. */
const givenBackMs = 5000

export interface SettlerParts {
  readonly clock: Clock
  /** How many deliveries core holds at most. */
  readonly prefetch: number
  readonly copies: Copies
  readonly committer: Committer
  /** Where messages wait in memory, uncommitted, for their time. */
  readonly holding: { readonly hasRoom: boolean; hold(waiting: Waiting, until: number): void }
  /** Takes what is to be handed out again. */
  readonly onReleased: (waiting: Waiting) => void
  /** Called when deliveries have been settled or given up. */
  readonly onSettled: () => void
  readonly warn: (message: string) => void
}

/** A settlement whose verdict asks for a copy. */
interface CopiedSettlement {
  readonly index: number
  readonly delivery: KafkaDelivery
  readonly retry?: { readonly headers: Readonly<Record<string, string>>; readonly dueAt: number }
}

/** Carries out verdicts: moves offsets on, and writes the copies that verdicts ask for. */
export class Settler {
  readonly #parts: SettlerParts
  readonly #verdictCopies: VerdictCopies

  constructor(parts: SettlerParts) {
    this.#parts = parts
    this.#verdictCopies = new VerdictCopies(parts.clock)
  }

  /** The signal ends the waiting, not the copies that are under way: asked again, they tell how they went. */
  async settle(settlements: readonly Settlement[], signal?: AbortSignal): Promise<readonly Outcome[]> {
    const { clock, copies, committer, holding, onReleased, onSettled } = this.#parts
    const outcomes: Outcome[] = settlements.map(() => done)
    const copied: CopiedSettlement[] = []
    for (const [index, { delivery, verdict }] of settlements.entries()) {
      if (!isKafkaDelivery(delivery) || !isOurs(delivery)) continue
      switch (verdict.kind) {
        case 'ack':
          settleOffset(delivery)
          break
        case 'release':
          delivery.waiting.partition.inHand.delete(delivery)
          onReleased(delivery.waiting)
          break
        case 'retry': {
          const { headers } = verdict
          const dueAt = clock.now() + verdict.delayMs
          copied.push({ index, delivery, retry: { headers, dueAt } })
          this.#beginRetry(delivery, headers, dueAt)
          break
        }
        case 'dead-letter':
          copied.push({ index, delivery })
          this.#beginDeadLetter(delivery, verdict.headers)
          break
        default:
          verdict satisfies never
      }
    }
    // Before the copies, which may take their time.
    onSettled()
    if (copied.length === 0) return outcomes
    copies.send()
    await this.#verdictCopies.wait(copies.areWritten, signal)
    let isWritten = false
    for (const { index, delivery, retry } of copied) {
      const copy = retry && holding.hasRoom ? this.#verdictCopies.abandon(delivery) : undefined
      if (retry !== undefined && copy !== undefined) {
        const { headers, dueAt } = retry
        this.#hold(delivery, { ...delivery.waiting, headers, copy }, dueAt)
        continue
      }
      const outcome = this.#verdictCopies.outcomeOf(delivery)
      outcomes[index] = outcome
      if (outcome.ok) isWritten = true
    }
    // A copy beside an uncommitted source is a duplicate if we die; acks only repeat what was done within the interval.
    if (isWritten) await unlessAborted(committer.flush(), signal)
    onSettled()
    return outcomes
  }

  #beginRetry(delivery: KafkaDelivery, headers: Readonly<Record<string, string>>, dueAt: number): void {
    const { copies, holding, warn } = this.#parts
    this.#verdictCopies.begin(
      delivery,
      () => copies.retry(delivery.waiting, headers, dueAt),
      (outcome) => {
        if (outcome.ok) {
          this.#onWritten(delivery)
          return outcome
        }
        const { partition } = delivery.waiting
        // Since nobody waited for the copy any longer.
        const isHeld = !partition.isLost && !partition.inHand.has(delivery)
        if (!isHeld && !(isOurs(delivery) && holding.hasRoom)) return outcome
        const reason = `copies cannot be written: ${outcome.error.message}`
        warn(`retries wait in memory, because ${reason}`)
        if (isHeld) return outcome
        this.#hold(delivery, { ...delivery.waiting, headers }, dueAt)
        return done
      },
    )
  }

  #beginDeadLetter(delivery: KafkaDelivery, headers: Readonly<Record<string, string>>): void {
    const { clock, copies, holding, prefetch } = this.#parts
    const { waiting } = delivery
    this.#verdictCopies.begin(
      delivery,
      () => copies.deadLetter(waiting, headers),
      (outcome) => {
        if (outcome.ok) {
          this.#onWritten(delivery)
          return outcome
        }
        // A few stay in hand until they can be written. Many would leave no room for what can be handled.
        const isCrowded = this.#verdictCopies.size * 2 > prefetch
        if (!isOurs(delivery) || !isCrowded || !holding.hasRoom) return outcome
        const { headers } = delivery
        this.#hold(delivery, { ...waiting, headers }, clock.now() + givenBackMs)
        const reason = `Given back, because dead letters cannot be written: ${outcome.error.message}`
        return failed(new MessagingError('stale', reason, { cause: outcome.error }))
      },
    )
  }

  /** It waits in memory instead, uncommitted: nothing is lost if we die, and it takes no place in hand. */
  #hold(delivery: KafkaDelivery, waiting: Waiting, until: number): void {
    waiting.partition.inHand.delete(delivery)
    this.#parts.holding.hold(waiting, until)
  }

  /** The copy is durable, however late; a retry that is held by then is dropped where it is held. */
  #onWritten(delivery: KafkaDelivery): void {
    if (delivery.waiting.partition.isLost) return
    settleOffset(delivery)
    this.#parts.onSettled()
  }
}

function isKafkaDelivery(delivery: Delivery): delivery is KafkaDelivery {
  return 'waiting' in delivery
}

function isOurs(delivery: KafkaDelivery): boolean {
  const { partition } = delivery.waiting
  return !partition.isLost && partition.inHand.has(delivery)
}

function settleOffset(delivery: KafkaDelivery): void {
  const { partition, offset } = delivery.waiting
  partition.inHand.delete(delivery)
  partition.offsets.settle(offset)
}
