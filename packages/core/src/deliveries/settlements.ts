import type { Outcome, Settlement, Subscription, Verdict } from '../driver.ts'
import { Batcher } from '../lib/batcher.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError, toMessagingError } from '../lib/errors.ts'
import { outcomeAt } from '../lib/outcome-at.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import type { DeliveryInHand } from './delivery.ts'

interface PendingSettlement extends Settlement {
  readonly inHand: DeliveryInHand
  readonly settled: (() => void) | undefined
  readonly tries: number
}

export interface SettlementsSettings {
  readonly clock: Clock
  /** The driver says that it is no longer ours. */
  readonly onStale: (inHand: DeliveryInHand, error: MessagingError) => void
  /** It could not be settled, and is tried again. */
  readonly onFailed: (inHand: DeliveryInHand) => void
  /** It is settled. */
  readonly onSettled: (inHand: DeliveryInHand) => void
  readonly report: (what: string, error: MessagingError) => void
}

// Longer than any driver should need to give up.
const slowMs = 60_000

// Settlements are small; the bound only keeps one call from growing with the backlog.
const maxSettlements = 1000

/** Carries verdicts to the broker, coalesced, and tries again until each is durable or its delivery is lost. */
export class Settlements {
  readonly #subscription: Subscription
  readonly #settings: SettlementsSettings
  readonly #batcher: Batcher<PendingSettlement>
  readonly #closed = new AbortController()
  /** What failed and is tried again, with the latest reason. */
  readonly #failing = new Map<DeliveryInHand, MessagingError>()
  readonly #parallelism: number
  /** Of each call that the driver has not answered for long. */
  readonly #slow = new Set<MessagingError>()

  constructor(subscription: Subscription, settings: SettlementsSettings) {
    this.#subscription = subscription
    this.#settings = settings
    this.#parallelism = subscription.settlesAtOnce ?? 1
    this.#batcher = new Batcher((batch) => this.#run(batch), {
      maxItems: maxSettlements,
      parallelism: this.#parallelism,
    })
  }

  /** Why a verdict could not be carried out yet. */
  get error(): MessagingError | undefined {
    return this.#slow.values().next().value ?? this.#failing.values().next().value
  }

  /** How many verdicts could not be carried out yet. */
  get failing(): number {
    return this.#failing.size
  }

  /** `settled` is called when the verdict is durable. */
  add(inHand: DeliveryInHand, verdict: Verdict, settled: (() => void) | undefined): void {
    this.#batcher.add({ delivery: inHand.delivery, verdict, inHand, settled, tries: 0 })
  }

  forget(inHand: DeliveryInHand): void {
    this.#failing.delete(inHand)
  }

  /** Nothing is tried again. */
  close(): void {
    this.#closed.abort()
  }

  async #run(batch: readonly PendingSettlement[]): Promise<void> {
    const outcomes = await this.#attempt(batch)
    const failed: PendingSettlement[] = []
    for (const [index, pending] of batch.entries()) {
      const { inHand, verdict, settled } = pending
      // Lost in the meantime: nobody knows whether it was settled first.
      if (inHand.isSettled) continue
      const outcome = outcomeAt(outcomes, index)
      if (outcome.ok) {
        this.#failing.delete(inHand)
        inHand.settle(this.#settings.clock.monotonic())
        settled?.()
        this.#settings.onSettled(inHand)
      } else if (outcome.error.code === 'stale') this.#settings.onStale(inHand, outcome.error)
      else {
        failed.push(pending)
        this.#failing.set(inHand, outcome.error)
        this.#settings.onFailed(inHand)
        this.#settings.report(`settling (${verdict.kind})`, outcome.error)
      }
    }
    if (failed.length > 0) void this.#again(failed)
  }

  get #slowness(): string {
    const what = `The driver has not answered for ${slowMs} ms`
    return this.#parallelism === 1
      ? `${what}, and nothing else is settled meanwhile`
      : `${what}; this is one call of ${this.#parallelism} at once`
  }

  async #attempt(batch: readonly PendingSettlement[]): Promise<readonly Outcome[]> {
    const { clock, report } = this.#settings
    let slow: MessagingError | undefined
    const onSlow = () => {
      slow = new MessagingError('timeout', this.#slowness, { retryable: true })
      this.#slow.add(slow)
      report('settling', slow)
    }
    const cancel = clock.after(slowMs, onSlow, { background: true })
    try {
      return await this.#subscription.settle(batch, this.#closed.signal)
    } catch (thrown) {
      const error = toMessagingError(thrown, 'The driver failed to settle')
      return batch.map(() => ({ ok: false, error }))
    } finally {
      cancel()
      if (slow !== undefined) this.#slow.delete(slow)
    }
  }

  // Separate from the batches, so that a failure holds up nothing else. Even errors that look final are retried: giving up
  // would strand the message with this member, and somebody may fix the permission or the queue.
  async #again(failed: readonly PendingSettlement[]): Promise<void> {
    const tries = Math.max(...failed.map((pending) => pending.tries)) + 1
    await sleep(this.#settings.clock, reconnectBackoff(tries), this.#closed.signal)
    if (this.#closed.signal.aborted) return
    for (const pending of failed) {
      if (!pending.inHand.isSettled) this.#batcher.add({ ...pending, tries })
    }
  }
}
