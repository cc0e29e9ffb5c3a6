/**
 * Delays of any length out of queues of fixed ones. RabbitMQ expires messages at the head of a queue only, so each queue
 * has one time to live. The levels of a ladder double from 1/32 of a second, and a delay is the sum of the levels whose
 * bits it has: the message comes through each of them, the longest first. An exchange for each level decides by the
 * routing key whether the message waits there or goes on, so the broker does it all by itself.
 */

/** 1/32 s, so that 1, 2, 4, 8 … seconds take one queue each. */
const unitMs = 1000 / 32

/** The highest level lasts 24 days; a time to live must be below 2^32 ms (RabbitMQ documentation, "Time-To-Live"). */
const maxLevels = 27

/** The longest delay of one way through a full ladder: 48 days. */
export const ladderLimitMs = Math.ceil(unitMs * (2 ** maxLevels - 1))

/** The first segment of the routing keys, so that no message type is taken for one. */
const marker = 'waybill-delay'

/** The queues that a message waits in one after the other, on its way to `exit`. */
export interface Ladder {
  /** What its exchanges and queues are named after. */
  readonly prefix: string
  /** Where it ends: in a group's queue, or in the topic's exchange, where it goes on as if sent then. */
  readonly exit: { readonly kind: 'queue' | 'exchange'; readonly name: string }
}

export interface DelayPlan {
  /** How many levels of the ladder it needs, from the bottom. The message enters at the topmost of them. */
  readonly height: number
  readonly routingKey: string
  /** What is left to wait after the ladder, because it is not long enough. */
  readonly remainingMs: number
}

/** How many levels a ladder has for delays up to this one. */
export function levelCount(longestDelayMs: number): number {
  return Math.min(maxLevels, Math.max(1, Math.floor(Math.log2(longestDelayMs / unitMs + 1))))
}

/** The way of a delay above 0 through a ladder of that many levels. It never ends early. */
export function planDelay(delayMs: number, ladderLevels: number): DelayPlan {
  const limit = 2 ** ladderLevels - 1
  const units = Math.min(limit, Math.ceil(delayMs / unitMs))
  const bits: number[] = []
  for (let level = 0; units >= 2 ** level; level += 1) bits.push((units >>> level) & 1)
  return {
    height: bits.length,
    routingKey: `${marker}.${bits.join('.')}`,
    remainingMs: Math.max(0, Math.ceil(delayMs - units * unitMs)),
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
  const ttlMs = ttlOf(level)
  return `${ladder.prefix}:delay:${ttlMs < 1000 ? `${ttlMs}ms` : `${ttlMs / 1000}s`}`
}

export function describeLevel(ladder: Ladder, level: number): Level {
  const higherBits = '*.'.repeat(level)
  return {
    name: levelName(ladder, level),
    ttlMs: ttlOf(level),
    waitPattern: `${marker}.${higherBits}1.#`,
    passPattern: `${marker}.${higherBits}0.#`,
    below: level === 0 ? undefined : levelName(ladder, level - 1),
  }
}

function ttlOf(level: number): number {
  return Math.ceil(unitMs * 2 ** level)
}
