import { type Clock, MessagingError, type Outcome } from '@waybill/core/driver'
import { failed, within } from '@waybill/core/driver-kit'
import type { KafkaDelivery } from './partition.ts'

/** How long a settlement waits for its copies: acks that come with it, and those behind it, wait as long. */
const patienceMs = 500

const stillWriting = failed(
  new MessagingError('timeout', 'The copy is still being written', { retryable: true }),
)

interface CopyUnderWay {
  outcome: Outcome | undefined
}

/**
 * The copies that verdicts ask for. Settlements do not wait long for them: a copy that takes its time goes on, and its
 * settlement fails for now; when core asks again it gets the outcome of the same copy. While copies cannot be written,
 * nothing waits for them at all.
 */
export class VerdictCopies {
  readonly #clock: Clock
  readonly #underWay = new Map<KafkaDelivery, CopyUnderWay>()
  /** Those begun since the last time somebody waited. */
  #begun: Promise<void>[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#underWay.size
  }

  /** Begins a copy, unless there is one already; `onEnd` runs when it has ended, however late. */
  begin(delivery: KafkaDelivery, copy: () => Promise<Outcome>, onEnd: (outcome: Outcome) => void): void {
    if (this.#underWay.has(delivery)) return
    const underWay: CopyUnderWay = { outcome: undefined }
    this.#underWay.set(delivery, underWay)
    this.#begun.push(
      copy().then((outcome) => {
        underWay.outcome = outcome
        onEnd(outcome)
      }),
    )
  }

  /** Waits for those that were begun, but not for long; not at all without patience. */
  async wait(isPatient: boolean): Promise<void> {
    const begun = this.#begun
    this.#begun = []
    if (begun.length > 0 && isPatient) await within(this.#clock, patienceMs, Promise.all(begun))
  }

  /** How the copy of a delivery went; it is forgotten once it is told. */
  outcomeOf(delivery: KafkaDelivery): Outcome {
    const outcome = this.#underWay.get(delivery)?.outcome
    if (outcome === undefined) return stillWriting
    this.#underWay.delete(delivery)
    return outcome
  }
}
