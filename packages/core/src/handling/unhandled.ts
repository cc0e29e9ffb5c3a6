import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { headerNames } from '../driver/transport-headers.ts'
import type { Capabilities } from '../driver.ts'
import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import type { Disposition } from './endings.ts'
import { deadLetterHeaders, lastingHeaders } from './failure-record.ts'
import type { WantedTypes } from './wanted-types.ts'

export interface UnhandledSettings {
  readonly clock: Clock
  readonly emit: Emit
  /** Tells a requester. */
  readonly gaveUp: (delivery: DeliveryInHand, reason: string, error: Error) => void
  /** What becomes of a type that the group wants. */
  readonly policy: 'retry' | 'dead-letter' | 'skip'
  /** How long others get to take such a message before it goes to the dead letters. */
  readonly afterMs: number
  readonly waits: UnhandledWait
}

/** In this process, with its key; there too, and then it goes to others; or at the broker, where all others get it too. */
export type UnhandledWait = 'here' | 'here-then-elsewhere' | 'at-broker'

/** Where a message waits whose type nobody here handles. */
export function whereUnhandledWait(
  { durableRetry, release, yieldsKeys }: Capabilities,
  ordered: boolean,
): UnhandledWait {
  if (!ordered) return durableRetry ? 'at-broker' : 'here'
  return release && yieldsKeys ? 'here-then-elsewhere' : 'here'
}

/** The consumers of the group in this process. */
export interface Siblings {
  /** Whether any handles the type, though it may take nothing at the moment. */
  handles(type: string): boolean
  readonly wanted: WantedTypes
}

// The broker may hand a message to the same member again and again: with two members, half of those that are left meet the
// right one in each round. So the rounds are short at first, and grow slowly; when nobody is there, a backlog must not go
// round and round. These are the longest of a round: each takes a random part of them, down to nothing. What comes back
// after the same time would meet members that take turns in step, and miss the right one each time.
const firstDelayMs = 1000
const longestDelayMs = 20_000
const growth = 1 / 4

// A key that goes from member to member takes others of its partition along, and each member waits by itself. So those
// rounds grow faster.
const longestKeyDelayMs = 60_000
const keyGrowth = 1

// Bounds what is remembered of keys that went elsewhere.
const mostFirstSeen = 10_000

/** Decides what happens to messages that no consumer of this process handles. */
export class Unhandled {
  readonly #settings: UnhandledSettings
  /** Since when those that stay here have been looked at, by the monotonic clock. */
  readonly #since = new WeakMap<DeliveryInHand, number>()
  /** When what goes to others and comes again, unchanged, was seen here first and last. */
  readonly #firstSeen = new Map<string, { readonly first: number; readonly last: number }>()
  /** Those that have waited here, so that it is the others' turn. */
  readonly #waited = new WeakSet<DeliveryInHand>()
  /** Messages that were skipped, and how often one was given back for others. */
  skipped = 0
  deferred = 0

  constructor(settings: UnhandledSettings) {
    this.#settings = settings
  }

  /** What happens to a message that nobody here takes at the moment. Without siblings, as in a broadcast, it is skipped. */
  async decide(delivery: DeliveryInHand, siblings: Siblings | undefined): Promise<Disposition> {
    const { clock, emit, policy, afterMs } = this.#settings
    const { type, expiresAt } = delivery.message
    if (expiresAt !== undefined && expiresAt.getTime() <= clock.now()) {
      return acked(() => emit('expired', delivery.info))
    }
    if (siblings?.handles(type)) return this.#defer(delivery, 0, undefined)
    if (siblings === undefined || policy === 'skip') return this.#skip(delivery)
    const isWanted = await siblings.wanted.isWanted(delivery)
    if (delivery.ended) return { kind: 'settle', verdict: { kind: 'release' } }
    // It may have been started meanwhile.
    if (siblings.handles(type)) return this.#defer(delivery, 0, undefined)
    if (!isWanted) return this.#skip(delivery)
    const forMs = this.#unhandledFor(delivery)
    if (policy === 'dead-letter' || forMs >= afterMs) return this.#bury(delivery, forMs)
    const { waits } = this.#settings
    const rate = waits === 'here-then-elsewhere' ? keyGrowth : growth
    return this.#defer(delivery, Math.min(forMs * rate, afterMs - forMs), forMs)
  }

  /** As long as others could have taken it: the delays so far, and the time it stayed here. No wall clock that jumps ends it early. */
  #unhandledFor(delivery: DeliveryInHand): number {
    const now = this.#settings.clock.monotonic()
    const before = Number(delivery.delivery.headers[headerNames.unhandledFor])
    const firstSeen = this.#since.get(delivery) ?? this.#seenBefore(delivery, now)
    this.#since.set(delivery, firstSeen)
    return (before > 0 ? before : 0) + now - firstSeen
  }

  /** What goes to others in its old place cannot carry how long it has waited. Another member counts by itself. */
  #seenBefore(delivery: DeliveryInHand, now: number): number {
    if (this.#settings.waits !== 'here-then-elsewhere') return now
    const key = identityOf(delivery)
    const known = this.#firstSeen.get(key)
    // Away for so long, it is more likely another one of the same id, or a letter that was replayed.
    const first = known !== undefined && now - known.last < this.#settings.afterMs ? known.first : now
    this.#firstSeen.delete(key)
    this.#firstSeen.set(key, { first, last: now })
    if (this.#firstSeen.size > mostFirstSeen) {
      const [oldest] = this.#firstSeen.keys()
      if (oldest !== undefined) this.#firstSeen.delete(oldest)
    }
    return first
  }

  #skip(delivery: DeliveryInHand): Disposition {
    return acked(() => {
      this.skipped += 1
      this.#settings.emit('unhandled', delivery.info)
    })
  }

  #defer(delivery: DeliveryInHand, waitMs: number, forMs: number | undefined): Disposition {
    const { emit, waits } = this.#settings
    const longest = waits === 'here-then-elsewhere' ? longestKeyDelayMs : longestDelayMs
    const delayMs = Math.round(Math.min(Math.max(waitMs, firstDelayMs), longest) * Math.random())
    if (waits === 'here-then-elsewhere' && this.#waited.has(delivery)) {
      return { kind: 'settle', verdict: { kind: 'release', toOthers: true } }
    }
    const scheduled = () => {
      this.deferred += 1
      emit('deferred', { ...delivery.info, delayMs })
    }
    if (waits !== 'at-broker') {
      scheduled()
      this.#waited.add(delivery)
      return { kind: 'back-off', delayMs, attempt: delivery.attempt }
    }
    const { [headerNames.unhandledFor]: _, ...others } = lastingHeaders(delivery)
    const headers =
      forMs === undefined
        ? others
        : { ...others, [headerNames.unhandledFor]: `${Math.round(forMs + delayMs)}` }
    return { kind: 'settle', verdict: { kind: 'retry', delayMs, headers }, settled: scheduled }
  }

  #bury(delivery: DeliveryInHand, forMs: number): Disposition {
    const { clock, emit, gaveUp } = this.#settings
    const why = `Group ${delivery.group} has asked for ${delivery.message.type}, but no consumer that it met handles it`
    const error = new MessagingError('failed', forMs > 0 ? `${why}, for ${Math.round(forMs / 1000)} s` : why)
    const headers = deadLetterHeaders(delivery, 'unhandled', error, clock.now())
    this.#firstSeen.delete(identityOf(delivery))
    return {
      kind: 'settle',
      verdict: { kind: 'dead-letter', headers },
      settled: () => {
        emit('deadLettered', { ...delivery.info, reason: 'unhandled', error })
        gaveUp(delivery, 'unhandled', error)
      },
    }
  }
}

function identityOf({ message: { id, type, metadata } }: DeliveryInHand): string {
  return JSON.stringify([metadata.source, type, id])
}

function acked(settled: () => void): Disposition {
  return { kind: 'settle', verdict: { kind: 'ack' }, settled }
}
