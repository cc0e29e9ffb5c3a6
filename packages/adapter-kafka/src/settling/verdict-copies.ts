import { type Clock, MessagingError, type Outcome } from '@waybill/core/driver'
import { failed, within } from '@waybill/core/driver-kit'
import type { CopyUnderWay, KafkaDelivery } from './partition.ts'
import { unlessAborted } from './unless-aborted.ts'

/** How long a settlement waits for its copies; acks in the same or a later settlement wait just as long. */
const patienceMs = { usual: 500, refused: 100 }

const stillWriting = failed(
  new MessagingError('timeout', 'The copy is still being written', { retryable: true }),
)

/**
 * The copies that verdicts ask for. Settlements do not wait long for them: a copy that takes its time goes on, and its
 * settlement fails first; when core asks again it gets the outcome of the same copy. While copies cannot be written,
 * nothing waits for them at all.
 */
export class VerdictCopies {
  readonly #clock: Clock
  readonly #underWay = new Map<KafkaDelivery, CopyUnderWay>()
  /** Copies begun since the last `wait`. */
  #begun: Promise<void>[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#underWay.size
  }

  /**
   * Begins a copy, unless there is one already. `onEnd` runs when it has ended, however late, and tells what that means for
   * the settlement.
   */
  begin(delivery: KafkaDelivery, copy: () => Promise<Outcome>, onEnd: (outcome: Outcome) => Outcome): void {
    if (this.#underWay.has(delivery)) return
    const underWay: CopyUnderWay = { outcome: undefined }
    this.#underWay.set(delivery, underWay)
    this.#begun.push(
      copy().then((outcome) => {
        underWay.outcome = onEnd(outcome)
      }),
    )
  }

  /** Waits for those that were begun, but not for long, and not once the signal has fired. */
  async wait(areWritten: boolean, signal?: AbortSignal): Promise<void> {
    const begun = this.#begun
    this.#begun = []
    const timeoutMs = areWritten ? patienceMs.usual : patienceMs.refused
    if (begun.length === 0) return
    await unlessAborted(within(this.#clock, timeoutMs, Promise.all(begun)), signal)
  }

  /** The outcome of a delivery's copy; it is forgotten once it has been returned. */
  outcomeOf(delivery: KafkaDelivery): Outcome {
    const outcome = this.#underWay.get(delivery)?.outcome
    if (outcome === undefined) return stillWriting
    this.#underWay.delete(delivery)
    return outcome
  }

  /** Stops waiting for a copy in progress and says where it continues; undefined if its outcome is known. */
  abandon(delivery: KafkaDelivery): CopyUnderWay | undefined {
    const underWay = this.#underWay.get(delivery)
    if (underWay === undefined || underWay.outcome !== undefined) return undefined
    this.#underWay.delete(delivery)
    return underWay
  }
}
