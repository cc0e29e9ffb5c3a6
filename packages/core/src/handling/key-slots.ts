import { Roster } from '../lib/roster.ts'

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
  readonly #waiting = new Map<string, Roster<() => void>>()
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
    let line = this.#waiting.get(key)
    if (line === undefined) {
      line = new Roster()
      this.#waiting.set(key, line)
    }
    const place = line.add(grant)
    if (this.#countOf(key) < this.#limits.perKey) this.#ready.add(key)
    this.#admit()
    return () => {
      if (!place.present) return
      line.remove(place)
      if (line.size === 0) this.#forget(key)
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
      next()
    }
  }

  #nextOf(key: string): (() => void) | undefined {
    const line = this.#waiting.get(key)
    const place = line?.first
    if (line === undefined || place === undefined) return undefined
    line.remove(place)
    if (line.size === 0) this.#forget(key)
    return place.item
  }

  #forget(key: string): void {
    this.#waiting.delete(key)
    this.#ready.delete(key)
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
