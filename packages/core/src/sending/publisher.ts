import type { Driver, OutboundMessage, Outcome } from '../driver.ts'
import { Batcher } from '../lib/batcher.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { type Fate, MessagingError, toMessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { Roster } from '../lib/roster.ts'
import type { Topic } from '../messages/topic.ts'
import type { Provisioner } from '../topology/provisioner.ts'

/** One send under way. `done` ends it; the first end counts. */
interface Pending {
  readonly topic: Topic
  readonly message: OutboundMessage
  readonly deadline: number
  /** Unknown from the moment the driver has it until a certain answer. */
  fate: Fate
  /** Why it was tried again. */
  lastError: MessagingError | undefined
  ended: boolean
  readonly done: (error: MessagingError | undefined) => void
}

const noAnswer: Outcome = {
  ok: false,
  error: new MessagingError('failed', 'The driver gave no answer for the message'),
}

export interface PublishLimits {
  /** By the clock's monotonic reading. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

/**
 * Brings messages to the driver: coalesced by topic, again after retryable failures until the deadline. On an ordered
 * topic a batch that fails holds the next one back, so that order survives a broker's restart.
 */
export class Publisher {
  readonly #driver: Driver
  readonly #provisioner: Provisioner
  readonly #clock: Clock
  readonly #batchers = new Map<string, Batcher<Pending>>()
  readonly #pending = new Roster<Pending>()
  readonly #closing = new AbortController()
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(driver: Driver, provisioner: Provisioner, clock: Clock) {
    this.#driver = driver
    this.#provisioner = provisioner
    this.#clock = clock
  }

  /** Resolves when the broker has the message. Rejects with an error whose `fate` tells what is known of it. */
  publish(topic: Topic, message: OutboundMessage, { deadline, signal }: PublishLimits): Promise<void> {
    if (this.#closing.signal.aborted) {
      const what = `Message ${message.type} ${message.id} was not sent: the bus was closed meanwhile`
      return Promise.reject(new MessagingError('closed', what, { fate: 'not-sent' }))
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#end(pending, 'aborted', 'The signal given to send was aborted')
      const pending: Pending = {
        topic,
        message,
        deadline,
        fate: 'not-sent',
        lastError: undefined,
        ended: false,
        done: (error) => {
          if (pending.ended) return
          pending.ended = true
          this.#pending.remove(place)
          signal?.removeEventListener('abort', onAbort)
          if (error === undefined) resolve()
          else reject(error)
        },
      }
      const place = this.#pending.add(pending)
      this.#watch(deadline)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#batcherOf(topic).add(pending)
    })
  }

  /** Waits for what is under way until the deadline, then rejects the rest with `closed`. */
  async close(timeoutMs: number): Promise<void> {
    const waited = new AbortController()
    const idle = Promise.all([...this.#batchers.values()].map((batcher) => batcher.idle()))
    await Promise.race([idle, sleep(this.#clock, timeoutMs, waited.signal)])
    waited.abort()
    this.#closing.abort()
    this.#alarm?.cancel()
    for (const pending of this.#pending.all())
      this.#end(pending, 'closed', 'The bus was closed before the broker answered')
  }

  #batcherOf({ name, ordered }: Topic): Batcher<Pending> {
    let batcher = this.#batchers.get(name)
    if (batcher === undefined) {
      const { publishBatchSize, publishParallelism } = this.#driver.capabilities
      batcher = new Batcher((batch) => this.#run(batch), {
        maxItems: publishBatchSize,
        // Of two batches under way the first may fail and be sent again behind the second.
        parallelism: ordered ? 1 : publishParallelism,
      })
      this.#batchers.set(name, batcher)
    }
    return batcher
  }

  async #run(batch: readonly Pending[]): Promise<void> {
    let open = batch
    for (let attempt = 1; ; attempt += 1) {
      open = open.filter(({ ended }) => !ended)
      if (open.length === 0) return
      const fates = open.map(({ fate }) => fate)
      const outcomes = await this.#attempt(open)
      const again: Pending[] = []
      for (const [index, pending] of open.entries()) {
        const outcome = outcomes[index] ?? noAnswer
        if (outcome.ok) {
          pending.done(undefined)
          continue
        }
        const { error } = outcome
        if (error.fate === 'not-sent') pending.fate = fates[index] ?? 'unknown'
        pending.lastError = error
        if (error.code === 'topology-missing') this.#provisioner.forget(pending.topic)
        if (error.retryable || this.#provisioner.canMend(error)) again.push(pending)
        else pending.done(this.#failure(pending, error))
      }
      open = again
      if (open.length > 0) await sleep(this.#clock, reconnectBackoff(attempt), this.#closing.signal)
    }
  }

  async #attempt(open: readonly Pending[]): Promise<readonly Outcome[]> {
    try {
      const topic = open[0]?.topic
      if (topic !== undefined && !this.#provisioner.isReady(topic)) await this.#provisioner.topic(topic)
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Provisioning failed')
      const outcome: Outcome = {
        ok: false,
        error: new MessagingError(error.code, error.message, {
          cause: error,
          retryable: error.retryable,
          fate: 'not-sent',
        }),
      }
      return open.map(() => outcome)
    }
    for (const pending of open) pending.fate = 'unknown'
    try {
      return await this.#driver.publish(open.map(({ message }) => message))
    } catch (error) {
      const outcome: Outcome = { ok: false, error: toMessagingError(error, 'The driver failed to publish') }
      return open.map(() => outcome)
    }
  }

  #failure({ message, fate }: Pending, error: MessagingError): MessagingError {
    const { id, topic } = message
    return new MessagingError(
      error.code,
      `Sending ${message.type} ${id} to topic ${topic.name} failed: ${error.message}`,
      {
        cause: error,
        retryable: error.retryable,
        fate,
      },
    )
  }

  #end(pending: Pending, code: 'timeout' | 'aborted' | 'closed', why: string): void {
    const { lastError } = pending
    const message = lastError === undefined ? why : `${why}; the last try failed with: ${lastError.message}`
    pending.done(
      this.#failure(
        pending,
        new MessagingError(code, message, { retryable: code === 'timeout', cause: lastError }),
      ),
    )
  }

  // One timer for all sends, set to the earliest deadline: a timer a message costs more than the message.
  #watch(deadline: number): void {
    if (!Number.isFinite(deadline) || (this.#alarm !== undefined && this.#alarm.at <= deadline)) return
    this.#alarm?.cancel()
    const cancel = this.#clock.after(Math.max(0, deadline - this.#clock.monotonic()), () => this.#onAlarm(), {
      background: true,
    })
    this.#alarm = { at: deadline, cancel }
  }

  #onAlarm(): void {
    this.#alarm = undefined
    const now = this.#clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    for (const pending of this.#pending.all()) {
      if (pending.deadline <= now)
        this.#end(pending, 'timeout', 'no answer from the broker within the timeout')
      else next = Math.min(next, pending.deadline)
    }
    this.#watch(next)
  }
}
