import { z } from 'zod'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import type { Clock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { millisecondsSchema } from '../lib/duration-schema.ts'
import { describe, toError } from '../lib/errors.ts'
import { SkipDuplicate } from '../lib/skip-duplicate.ts'
import { functionSchema, hasFunctions, lazily, parseOptions } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'
import { clockSchema } from './clock-option.ts'
import { SeenInMemory } from './seen-in-memory.ts'

/** Remembers keys of messages that were handled, for several processes. */
export interface SeenStore {
  /** Whether the key was added and its window has not passed. When it rejects, the attempt fails. */
  has(key: string): Promise<boolean> | boolean
  /** Remembers the key for `windowMs`. When it rejects, the message is handled all the same, and a process warning tells of it. */
  add(key: string, windowMs: number): Promise<void> | void
}

export interface DeduplicateOptions {
  /** How long a message is remembered after it was handled. Default: 10 min. */
  readonly window?: Duration
  /** How many this process remembers at most, the latest. Default: 100,000. */
  readonly max?: number
  /** What makes two messages of a type the same. Default: their source and id. */
  readonly by?: (message: Message) => string
  /** Shared by several processes. Default: this process's memory. */
  readonly store?: SeenStore
  /** For tests. Default: the process's. */
  readonly clock?: Clock
}

const isStore = (value: unknown): value is SeenStore => hasFunctions(value, ['has', 'add'])

const optionsSchema = lazily(() =>
  z.strictObject({
    window: millisecondsSchema().prefault('10m'),
    max: z.int().min(1).default(100_000),
    by: functionSchema().optional(),
    store: z.custom<SeenStore>(isStore, 'expected a store: an object with has and add').optional(),
    clock: clockSchema(),
  }),
)

/**
 * Drops messages of a type and group that were handled before, with the event `skipped`. What is being handled in this process
 * is waited for: if it fails, its duplicate is handled.
 *
 * It is cheaper than the `idempotency` of a consumer, and promises less: a message is remembered once it was handled, so two
 * processes may handle duplicates at the same time, and without a store a restart forgets. It never drops a message that was
 * not handled. Use it against noisy senders, and `idempotency` where an effect must not happen twice.
 *
 * ```ts
 * consumer.use(deduplicate({ window: '5m', by: ({ data }) => data.orderId }))
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export function deduplicate(options: DeduplicateOptions = {}): HandlerMiddleware {
  const {
    window,
    max,
    clock,
    store = new SeenInMemory(clock, max),
  } = parseOptions(optionsSchema(), options, 'deduplicate middleware')
  /** Those being handled here: whether they were, in the end. */
  const running = new Map<string, Promise<boolean>>()

  async function handle(key: string, next: () => Promise<void>): Promise<void> {
    await next()
    try {
      await store.add(key, window)
    } catch (error) {
      const what = `A handled message could not be remembered: ${toError(error).message}`
      process.emitWarning(what, 'WaybillWarning')
    }
  }

  return async (context, next) => {
    const key = keyOf(context, options.by)
    for (let other = running.get(key); other !== undefined; other = running.get(key)) {
      if (await other) throw duplicate(context)
    }
    const over = Promise.withResolvers<boolean>()
    running.set(key, over.promise)
    let isHandled = false
    try {
      if (await store.has(key)) {
        isHandled = true
        throw duplicate(context)
      }
      await handle(key, next)
      isHandled = true
    } finally {
      running.delete(key)
      over.resolve(isHandled)
    }
  }
}

function duplicate({ message }: HandlerContext): SkipDuplicate {
  return new SkipDuplicate(`${message.type} ${message.id} was handled before`)
}

function keyOf({ group, topic, message }: HandlerContext, by: DeduplicateOptions['by']): string {
  const { type, id, metadata } = message
  if (by === undefined) return JSON.stringify([group, topic, type, metadata.source, id])
  const own: unknown = by(message)
  if (typeof own !== 'string' || own === '') {
    // Undefined for all of them would make all of them the same.
    throw new TypeError(`deduplicate: "by" of ${type} returned ${describe(own)}, not a text`)
  }
  return JSON.stringify([group, topic, type, own])
}
