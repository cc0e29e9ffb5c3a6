import type { Emit } from '../events/events.ts'
import type { IdempotencyMark, IdempotencyStore } from '../idempotency/idempotency.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { type MessagingError, toMessagingError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'

export interface StoreProbeSettings {
  readonly store: IdempotencyStore
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  readonly leaseMs: number
}

/** Finds out whether an idempotency store answers, with a mark that stands for no message. */
export class StoreProbe {
  readonly #settings: StoreProbeSettings
  readonly #mark: IdempotencyMark
  readonly #closed = new AbortController()
  #running: Promise<boolean> | undefined
  #error: MessagingError | undefined

  constructor(settings: StoreProbeSettings) {
    this.#settings = settings
    const { topic, group } = settings
    this.#mark = { group, topic, type: 'waybill.probe', source: 'waybill', id: newId() }
  }

  /** Why the store does not answer; undefined while it does, as far as we know. */
  get error(): MessagingError | undefined {
    return this.#error
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  /** Resolves as soon as the store answers, or this is closed; true when it did not answer at once. One probe for all who ask. */
  untilAnswered(): Promise<boolean> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  close(): void {
    this.#closed.abort()
  }

  async #run(): Promise<boolean> {
    const { store, clock, emit, topic, group, leaseMs } = this.#settings
    for (let failures = 1; !this.#closed.signal.aborted; failures += 1) {
      try {
        const state = await answerOf(clock, leaseMs, () => store.begin(this.#mark, leaseMs))
        if (state.state === 'started')
          await answerOf(clock, leaseMs, () => store.abandon(this.#mark, state.token))
        this.#error = undefined
        return failures > 1
      } catch (thrown) {
        this.#error = toMessagingError(thrown, 'The idempotency store does not answer', { retryable: true })
        const what = `idempotency store, topic ${topic}, group ${group}: no handler starts until it answers`
        emit('failure', { what, error: this.#error })
        await sleep(clock, reconnectBackoff(failures), this.#closed.signal)
      }
    }
    return true
  }
}

/** The answer of a store, which may throw as well as reject, or never answer at all. */
export function answerOf<Answer>(
  clock: Clock,
  timeoutMs: number,
  call: () => Promise<Answer>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`No answer within ${timeoutMs} ms`))
    const cancel = clock.after(timeoutMs, late, { background: true })
    const answered = async () => call()
    answered().then(resolve, reject).finally(cancel)
  })
}
