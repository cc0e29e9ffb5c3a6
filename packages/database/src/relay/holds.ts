import { type Backoff, exponential } from '@waybill/core'
import type { Clock } from '@waybill/core/driver'

interface Hold {
  until: number
  failures: number
}

// More keys than that, and their topic is held as a whole.
const maxKeys = 1000

/**
 * What is not to be tried before a time, after a failure: keys, single messages without a key, or topics. Waits double up to
 * the longest. It is forgotten with the process; another relay tries at once.
 */
export class Holds {
  readonly #clock: Clock
  readonly #maxMs: number
  readonly #backoff: Backoff
  readonly #keys = new Map<string, Hold>()
  readonly #topics = new Map<string, Hold>()

  constructor(clock: Clock, maxMs: number) {
    this.#clock = clock
    this.#maxMs = maxMs
    this.#backoff = exponential({ initial: 200, max: maxMs, jitter: 0.25 })
  }

  /** Resolves with how long, in milliseconds. */
  holdKey(name: string, topic: string): number {
    return this.#keys.size >= maxKeys && !this.#keys.has(name)
      ? this.#hold(this.#topics, topic)
      : this.#hold(this.#keys, name)
  }

  holdTopic(topic: string): number {
    return this.#hold(this.#topics, topic)
  }

  /** How often it has failed since something of it was sent. */
  failuresOf(name: string): number {
    return this.#keys.get(name)?.failures ?? 0
  }

  /** Something of it was sent, or set aside. */
  release(name: string, topic: string): void {
    this.#keys.delete(name)
    this.#topics.delete(topic)
  }

  /** Not to be read now. */
  heldKeys(): string[] {
    return this.#held(this.#keys)
  }

  heldTopics(): string[] {
    return this.#held(this.#topics)
  }

  /** Until the first of them ends, in milliseconds; undefined if nothing is held. */
  nextMs(): number | undefined {
    const now = this.#clock.monotonic()
    let next: number | undefined
    for (const { until } of [...this.#keys.values(), ...this.#topics.values()])
      if (until > now) next = Math.min(next ?? Number.POSITIVE_INFINITY, until - now)
    return next
  }

  /** What has failed and was not sent since. */
  get size(): number {
    return this.#keys.size + this.#topics.size
  }

  #hold(holds: Map<string, Hold>, name: string): number {
    const failures = (holds.get(name)?.failures ?? 0) + 1
    const waitMs = this.#backoff(failures)
    holds.set(name, { failures, until: this.#clock.monotonic() + waitMs })
    return waitMs
  }

  #held(holds: Map<string, Hold>): string[] {
    const now = this.#clock.monotonic()
    const held: string[] = []
    for (const [name, { until }] of holds) {
      if (until > now) held.push(name)
      // Long over: what it was about has gone elsewhere.
      else if (until < now - 2 * this.#maxMs - 60_000) holds.delete(name)
    }
    return held
  }
}
