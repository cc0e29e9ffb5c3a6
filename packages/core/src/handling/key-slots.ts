/** A place that was asked for. */
interface Waiter {
  readonly key: string
  readonly grant: () => void
}

export interface KeySlotLimits {
  /** How many run at once, of all keys. */
  readonly total: number
  /** How many of one key. */
  readonly perKey: number
}

/**
 * Bounds how many run at once, in all and of each key. Keys take turns, so that one with many waiting does not hold up the
 * others; within a key it is first come, first served.
 */
export class KeySlots {
  readonly #limits: KeySlotLimits
  readonly #running = new Map<string, number>()
  /** Sets, because any of a line may give up; what is added last comes last. */
  readonly #waiting = new Map<string, Set<Waiter>>()
  /** The keys that have somebody waiting and room for one more, in the order of their turns. */
  readonly #ready = new Set<string>()
  #used = 0

  constructor(limits: KeySlotLimits) {
    this.#limits = limits
  }

  /** How many of one key can run at once. */
  get most(): number {
    return Math.min(this.#limits.total, this.#limits.perKey)
  }

  /** True when there was a place, which is taken now. */
  tryAcquire(key: string): boolean {
    if (this.#waiting.has(key) || !this.#hasRoom(key)) return false
    this.#take(key)
    return true
  }

  /** `grant` is called once there is a place, unless the result was called before: it gives up waiting. */
  wait(key: string, grant: () => void): () => void {
    const waiter: Waiter = { key, grant }
    const line = this.#waiting.get(key)
    if (line === undefined) this.#waiting.set(key, new Set([waiter]))
    else line.add(waiter)
    if (this.#countOf(key) < this.#limits.perKey) this.#ready.add(key)
    this.#admit()
    return () => this.#giveUp(waiter)
  }

  release(key: string): void {
    this.#used -= 1
    const left = this.#countOf(key) - 1
    if (left === 0) this.#running.delete(key)
    else this.#running.set(key, left)
    if (this.#waiting.has(key)) this.#ready.add(key)
    this.#admit()
  }

  #admit(): void {
    for (const key of this.#ready) {
      if (this.#used >= this.#limits.total) return
      this.#ready.delete(key)
      const [next] = this.#waiting.get(key) ?? []
      if (next === undefined) continue
      this.#giveUp(next)
      this.#take(key)
      // At the end of the turns, where the loop comes by again.
      if (this.#waiting.has(key) && this.#countOf(key) < this.#limits.perKey) this.#ready.add(key)
      next.grant()
    }
  }

  #giveUp(waiter: Waiter): void {
    const line = this.#waiting.get(waiter.key)
    if (line?.delete(waiter) !== true || line.size > 0) return
    this.#waiting.delete(waiter.key)
    this.#ready.delete(waiter.key)
  }

  #hasRoom(key: string): boolean {
    return this.#used < this.#limits.total && this.#countOf(key) < this.#limits.perKey
  }

  #countOf(key: string): number {
    return this.#running.get(key) ?? 0
  }

  #take(key: string): void {
    this.#used += 1
    this.#running.set(key, this.#countOf(key) + 1)
  }
}
