import { levelCount, levelMs, planLevels } from '@waybill/core/driver-kit'
import { ladderLevels } from '../options.ts'

const { unitMs, most } = ladderLevels

/**
 * Delays of any length out of queues of fixed ones. RabbitMQ expires messages at the head of a queue only, so each queue
 * has one time to live. The levels of a ladder double from 1/32 of a second, and a delay is the sum of the levels whose
 * bits it has: the message comes through each of them, the longest first. An exchange for each level decides by the
 * routing key whether the message waits there or goes on, so the broker does it all by itself.
 */

/** The first segment of the routing keys, so that no message type is taken for one. */
const marker = 'waybill-delay'

/** One more key of every message on its way through a topic's ladder: at the exit it leads to a queue that keeps nothing. */
export const dueKey = `${marker}.due`

/** Where a ladder ends. Dead-lettering holds what has no queue to go to, so each exit always leads to one. */
export type LadderExit =
  /** In a group's queue. */
  | { readonly kind: 'queue'; readonly name: string }
  /** In the topic's exchange, where the message goes on as if sent then; `sink` is bound by `dueKey` behind `via`. */
  | { readonly kind: 'topic'; readonly name: string; readonly via: string; readonly sink: string }
  /** In an exchange of its own, from which a routing key leads to the group's queue of that name. */
  | { readonly kind: 'queues'; readonly name: string; readonly queues: readonly string[] }

/** The queues that a message waits in one after the other, on its way to `exit`. */
export interface Ladder {
  /** What its exchanges and queues are named after. */
  readonly prefix: string
  readonly exit: LadderExit
}

export interface DelayPlan {
  /** How many levels of the ladder it needs, from the bottom. The message enters at the topmost of them. */
  readonly height: number
  readonly routingKey: string
  /** What is left to wait after the ladder, because it is not long enough. */
  readonly remainingMs: number
}

/** How many levels a ladder has for delays up to this one. */
export function ladderHeight(longestDelayMs: number): number {
  return levelCount(longestDelayMs, { unitMs, most })
}

/** The way of a delay above 0 through a ladder of that many levels. It never ends early. */
export function planDelay(delayMs: number, count: number): DelayPlan {
  const { waits, remainingMs } = planLevels(delayMs, { unitMs, count })
  return {
    height: waits.length,
    routingKey: `${marker}.${waits.map(Number).join('.')}`,
    remainingMs,
  }
}

/** What to declare for one level. */
export interface Level {
  /** Of both the exchange and the queue. */
  readonly name: string
  readonly ttlMs: number
  /** Binds the queue to the exchange: messages that wait here. */
  readonly waitPattern: string
  /** Binds the next lower exchange, or the ladder's exit, to the exchange: messages that go on. */
  readonly passPattern: string
  /** The exchange below, or undefined at the bottom. */
  readonly below: string | undefined
}

export function levelName(ladder: Ladder, level: number): string {
  const ttlMs = levelMs(level, unitMs)
  return `${ladder.prefix}:delay:${ttlMs < 1000 ? `${ttlMs}ms` : `${ttlMs / 1000}s`}`
}

export function describeLevel(ladder: Ladder, level: number): Level {
  const higherBits = '*.'.repeat(level)
  return {
    name: levelName(ladder, level),
    ttlMs: levelMs(level, unitMs),
    waitPattern: `${marker}.${higherBits}1.#`,
    passPattern: `${marker}.${higherBits}0.#`,
    below: level === 0 ? undefined : levelName(ladder, level - 1),
  }
}
