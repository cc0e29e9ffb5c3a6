import { AsyncLocalStorage } from 'node:async_hooks'
import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { Clock } from '../lib/clock.ts'
import { compose } from '../lib/compose.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'
import { type AskedVerdict, askedRelease } from './asked-verdict.ts'
import { whileHandlingSeveral } from './handling.ts'
import type { Slots } from './lanes.ts'
import { withTimeLimit } from './time-limit.ts'

export interface BatchContext {
  /** Fires when a delivery of the batch is lost, the attempt times out, or the consumer stops before the handler has ended. */
  readonly signal: AbortSignal
  readonly topic: string
  readonly group: string
  /**
   * Fails this message only; the retry policy applies to it alone. A throw fails them all.
   *
   * ```ts
   * for (const message of await insertAll(messages)) context.fail(message, new Error('not stored'))
   * ```
   */
  fail(message: Message, error: unknown): void
}

export type BatchHandler = (messages: readonly Message[], context: BatchContext) => unknown

/** What batch middleware sees. */
export interface BatchInvocation extends BatchContext {
  readonly messages: readonly Message[]
}

/** Wraps a call of a batch handler. It calls `next` once, and awaits it to see how the call went. */
export type BatchMiddleware = (batch: BatchInvocation, next: () => Promise<void>) => Promise<void>

export interface BatchSettings {
  readonly size: number
  readonly waitMs: number
  readonly clock: Clock
}

/** `timeoutMs`: how long the handler may take. */
type CollectorSettings = BatchSettings & {
  readonly timeoutMs: number | undefined
  readonly middleware: readonly BatchMiddleware[]
}

interface Entry {
  readonly delivery: DeliveryInHand
  readonly resolve: (asked: AskedVerdict | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Gathers deliveries until there are enough or the oldest has waited long enough, and handles them as one. */
export class BatchCollector {
  readonly #handle: BatchHandler
  readonly #settings: CollectorSettings
  readonly #slots: Slots
  #entries = new Set<Entry>()
  #cancelTimer: (() => void) | undefined
  /** Otherwise a batch would run in the async context of the message that filled it, with its trace and tenant. */
  readonly #inOwnContext = AsyncLocalStorage.snapshot()

  constructor(handle: BatchHandler, settings: CollectorSettings, slots: Slots) {
    this.#handle = handle
    this.#settings = settings
    this.#slots = slots
  }

  /** Resolves when the delivery's batch was handled, rejects when the delivery or its batch failed. */
  add(delivery: DeliveryInHand): Promise<AskedVerdict | undefined> {
    return new Promise((resolve, reject) => {
      const entry: Entry = { delivery, resolve, reject }
      // Lost, or given back because of a pause or a stop. It must not wait for the rest of the batch: it may hold an
      // idempotency mark, and the member that gets it next would wait for that.
      delivery.onEnd(() => {
        this.#entries.delete(entry)
        resolve(askedRelease)
      })
      this.#entries.add(entry)
      if (this.#entries.size >= this.#settings.size) void this.#flush()
      else if (this.#entries.size === 1) {
        this.#cancelTimer?.()
        this.#cancelTimer = this.#settings.clock.after(this.#settings.waitMs, () => void this.#flush())
      }
    })
  }

  close(): void {
    this.#cancelTimer?.()
  }

  async #flush(): Promise<void> {
    this.#cancelTimer?.()
    const gathered = [...this.#entries]
    this.#entries.clear()
    await this.#slots.acquire()
    const entries = gathered.filter(({ delivery }) => !delivery.ended)
    if (entries.length > 0) await this.#run(entries)
    this.#slots.release()
  }

  async #run(entries: readonly Entry[]): Promise<void> {
    const failed = new Map<Message, unknown>()
    const messages = entries.map(({ delivery }) => delivery.message)
    const members = new Set(messages)
    const first = entries[0]?.delivery
    let signal: AbortSignal | undefined
    const context: BatchContext = {
      // Put together when it is first asked for: most handlers never look.
      get signal() {
        signal ??= AbortSignal.any(entries.map(({ delivery }) => delivery.signal))
        return signal
      },
      topic: first?.topic ?? '',
      group: first?.group ?? '',
      fail: (message, error) => {
        if (!members.has(message)) throw notOfBatch()
        failed.set(message, error)
      },
    }
    const { clock, timeoutMs } = this.#settings
    const deliveries = entries.map(({ delivery }) => delivery)
    for (const delivery of deliveries) delivery.run(clock.monotonic())
    try {
      const run = () => withTimeLimit(timeoutMs, clock, deliveries, () => this.#call(messages, context))
      await this.#inOwnContext(() => whileHandlingSeveral(run))
      for (const { delivery, resolve, reject } of entries) {
        if (failed.has(delivery.message)) reject(toError(failed.get(delivery.message)))
        else resolve(undefined)
      }
    } catch (error) {
      for (const { reject } of entries) reject(error)
    }
  }

  async #call(messages: readonly Message[], context: BatchContext): Promise<void> {
    const { middleware } = this.#settings
    const innermost = async () => {
      await this.#handle(messages, context)
    }
    if (middleware.length === 0) return innermost()
    const invocation: BatchInvocation = {
      messages,
      topic: context.topic,
      group: context.group,
      fail: context.fail,
      get signal() {
        return context.signal
      },
    }
    const reached = await compose(middleware, invocation, innermost)
    if (!reached) throw new MessagingError('failed', 'A middleware resolved without calling next()')
  }
}

// Acking a message that its handler has failed would lose it.
function notOfBatch(): MessagingError {
  const what = 'context.fail() was given a message that is not of this batch'
  return new MessagingError(
    'invalid-options',
    `${what}; pass one of the messages the handler was given, not a copy`,
  )
}
