/** A place that was asked for; `isWanted` turns false when its delivery ends before. */
interface Waiter {
  readonly key: string
  readonly grant: () => void
  isWanted: boolean
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
  readonly #waiting = new Map<string, Waiter[]>()
  /** The keys that have somebody waiting and room for one more, in the order of their turns. */
  readonly #ready = new Set<string>()
  #used = 0

  constructor(limits: KeySlotLimits) {
    this.#limits = limits
  }

  /** True when there was a place, which is taken now. */
  tryAcquire(key: string): boolean {
    if (this.#waiting.has(key) || !this.#hasRoom(key)) return false
    this.#take(key)
    return true
  }

  /** `grant` is called once there is a place, unless the result was called before: it gives up waiting. */
  wait(key: string, grant: () => void): () => void {
    const waiter: Waiter = { key, grant, isWanted: true }
    const line = this.#waiting.get(key)
    if (line === undefined) this.#waiting.set(key, [waiter])
    else line.push(waiter)
    if (this.#countOf(key) < this.#limits.perKey) this.#ready.add(key)
    this.#admit()
    return () => {
      waiter.isWanted = false
    }
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
      const next = this.#nextOf(key)
      if (next === undefined) continue
      this.#take(key)
      // At the end of the turns, where the loop comes by again.
      if (this.#waiting.has(key) && this.#countOf(key) < this.#limits.perKey) this.#ready.add(key)
      next.grant()
    }
  }

  #nextOf(key: string): Waiter | undefined {
    const line = this.#waiting.get(key) ?? []
    let next = line.shift()
    while (next !== undefined && !next.isWanted) next = line.shift()
    if (line.length === 0) this.#waiting.delete(key)
    return next
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
