import { type Place, Roster } from '../lib/roster.ts'

interface Waiter {
  readonly bytes: number
  readonly resume: () => void
}

/** Bytes that were taken, or a place in the queue for them. */
export interface Share {
  readonly bytes: number
  /** Undefined once the bytes are taken. */
  place: Place<Waiter> | undefined
}

/** Bounds the bytes under way. Sends that find no room wait, first come, first served. */
export class ByteBudget {
  readonly #max: number
  readonly #waiters = new Roster<Waiter>()
  #used = 0

  constructor(max: number) {
    this.#max = max
  }

  /**
   * Calls `enter` as soon as the bytes are taken: at once if there is room and nobody waits, so that nobody who comes
   * later gets ahead. One item larger than the whole budget travels alone. The share is to be released once, whether
   * it was granted or is still waited for.
   */
  acquire(bytes: number, enter: () => void): Share {
    const share: Share = { bytes, place: undefined }
    if (this.#waiters.size === 0 && this.#fits(bytes)) {
      this.#used += bytes
      enter()
      return share
    }
    const resume = () => {
      share.place = undefined
      enter()
    }
    share.place = this.#waiters.add({ bytes, resume })
    return share
  }

  release({ bytes, place }: Share): void {
    if (place === undefined) this.#used -= bytes
    else this.#waiters.remove(place)
    this.#admit()
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#max
  }

  #admit(): void {
    for (let place = this.#waiters.first; place !== undefined && this.#fits(place.item.bytes); ) {
      this.#waiters.remove(place)
      this.#used += place.item.bytes
      place.item.resume()
      place = this.#waiters.first
    }
  }
}
