import type { StoredDeadLetter } from '@waybill/core/driver'
import type { Received } from '../wire/messages.ts'

export interface Letter extends StoredDeadLetter {
  readonly received: Received
}

/** A letter that is hidden from everybody else. */
export interface HeldLetter {
  readonly id: string
  readonly receipt: string
  expiresAt: number
  /** Undefined once others needed the room; it is then received again when it is needed. */
  letter: Letter | undefined
}

/** How many bytes of letters stay in memory while they are looked at, so that they can be replayed while the list is being read. */
const mostBytes = 32 * 1024 * 1024

/** What all walks of this process have in hand, bounded in bytes: the oldest give way. */
export class HeldLetters {
  readonly #held = new Map<string, HeldLetter>()
  /** Those whose letter is in memory, the oldest first. */
  readonly #whole = new Set<HeldLetter>()
  #bytes = 0

  get size(): number {
    return this.#held.size
  }

  get(id: string): HeldLetter | undefined {
    return this.#held.get(id)
  }

  values(): readonly HeldLetter[] {
    return [...this.#held.values()]
  }

  add(letter: Letter, expiresAt: number): HeldLetter {
    this.delete(letter.id)
    const held: HeldLetter = { id: letter.id, receipt: letter.received.receipt, expiresAt, letter }
    this.#held.set(letter.id, held)
    this.#whole.add(held)
    this.#bytes += letter.body.byteLength
    for (const oldest of this.#whole) {
      if (this.#bytes <= mostBytes || oldest === held) break
      this.#drop(oldest)
    }
    return held
  }

  delete(id: string): void {
    const held = this.#held.get(id)
    if (held === undefined) return
    this.#held.delete(id)
    this.#drop(held)
  }

  #drop(held: HeldLetter): void {
    if (!this.#whole.delete(held)) return
    this.#bytes -= held.letter?.body.byteLength ?? 0
    held.letter = undefined
  }
}
