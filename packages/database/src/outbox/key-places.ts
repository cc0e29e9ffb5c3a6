import { slotCount } from '../migrations/0002-outbox.ts'
import { type TextSum, textHash, textSum } from './text-hash.ts'

/** Where the messages of a key are, and the lock that their inserts take. */
export interface KeyPlace {
  /** One for all messages of the key, so that one relay has them all. */
  readonly slot: number
  /** A `bigint` as text. */
  readonly lock: string
}

const words = new DataView(new ArrayBuffer(8))

/** The places of keys, apart for each installation in a database. */
export class KeyPlaces {
  readonly #namespace: string
  /** Most messages are of the topic of the one before. */
  #last: { readonly topic: string; readonly sum: TextSum } | undefined

  constructor(namespace: string) {
    this.#namespace = namespace
  }

  /** By the hash of `[namespace, topic, key]` as JSON. */
  of(topic: string, key: string): KeyPlace {
    const { high, low } = textHash(`${JSON.stringify(key)}]`, this.#before(topic))
    // One BigInt a key; shifts would make four.
    words.setUint32(0, high)
    words.setUint32(4, low)
    return { slot: low % slotCount, lock: words.getBigInt64(0).toString() }
  }

  #before(topic: string): TextSum {
    if (this.#last?.topic === topic) return this.#last.sum
    const sum = textSum(`${JSON.stringify([this.#namespace, topic]).slice(0, -1)},`)
    this.#last = { topic, sum }
    return sum
  }
}
