import type { DeadLetterStore, Outcome, StoredDeadLetter } from '@waybill/core/driver'
import type { KafkaMessage, Message } from 'kafkajs'
import type { Publisher } from '../sending/publisher.ts'
import type { Administer } from '../topology/administration.ts'
import { fromLetter, letterIdOf, type Resolution, toReplay, toResolution } from '../wire/messages.ts'
import type { GroupNames } from '../wire/names.ts'

// One fetch of the letters; the answer of a broker that has more comes at once.
const fetchBytes = 4 * 1024 * 1024
const fetchWaitMs = 100
const resolveBatch = 500

/** What a fetch gives, of one partition (Kafka protocol guide, "Fetch API"). */
interface FetchAnswer {
  readonly responses: readonly {
    readonly partitions: readonly { readonly messages: readonly FetchedMessage[] }[]
  }[]
}

type FetchedMessage = KafkaMessage & { readonly isControlRecord?: boolean }

/**
 * A group's dead letters: a compacted topic of one partition, in which a record without value takes off the letter of the
 * same key. Who lists it reads it through, without a consumer group; what was read is remembered by offset only.
 */
export class KafkaDeadLetters implements DeadLetterStore {
  readonly #administer: Administer
  readonly #publisher: Publisher
  readonly #names: GroupNames
  /** Letters by id with their offsets, oldest first, as of `#readUpTo`. */
  readonly #letters = new Map<string, number>()
  #readUpTo = 0
  #reading: Promise<void> = Promise.resolve()

  constructor(administer: Administer, publisher: Publisher, names: GroupNames) {
    this.#administer = administer
    this.#publisher = publisher
    this.#names = names
  }

  async count(): Promise<number> {
    await this.#refresh()
    return this.#letters.size
  }

  async *list(): AsyncGenerator<StoredDeadLetter> {
    for await (const page of this.#pages('all')) for (const message of page) yield fromLetter(message)
  }

  replay(ids: readonly string[] | 'all'): Promise<number> {
    return this.#resolve(ids, 'replay')
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#resolve(ids, 'discard')
  }

  async #resolve(ids: readonly string[] | 'all', resolution: Resolution): Promise<number> {
    let count = 0
    for await (const page of this.#pages(ids)) {
      for (let start = 0; start < page.length; start += resolveBatch) {
        const letters = page.slice(start, start + resolveBatch)
        if (resolution === 'replay') await this.#send(this.#names.retry, letters.map(toReplay))
        await this.#send(
          this.#names.dead,
          letters.map((letter) => toResolution(letterIdOf(letter), resolution)),
        )
        count += letters.length
      }
    }
    return count
  }

  async #send(topic: string, messages: readonly Message[]): Promise<void> {
    const outcomes = await this.#publisher.send(topic, messages)
    const failed = outcomes.find((outcome): outcome is Extract<Outcome, { ok: false }> => !outcome.ok)
    if (failed !== undefined) throw failed.error
  }

  /** The records of the letters wanted that are there now, in the order they came. */
  async *#pages(ids: readonly string[] | 'all'): AsyncGenerator<readonly KafkaMessage[]> {
    await this.#refresh()
    const wanted = new Map(this.#letters)
    if (ids !== 'all') {
      const named = new Set(ids)
      for (const id of wanted.keys()) if (!named.has(id)) wanted.delete(id)
    }
    const offsets = [...wanted.values()]
    const end = Math.max(-1, ...offsets.slice(-1)) + 1
    let at = offsets[0] ?? end
    while (at < end) {
      const { messages, next } = await this.#fetch(at)
      at = next ?? end
      const page = messages.filter((message) => wanted.get(letterIdOf(message)) === Number(message.offset))
      if (page.length > 0) yield page
    }
  }

  /** Reads what came since the last time. */
  #refresh(): Promise<void> {
    this.#reading = this.#reading.catch(() => {}).then(() => this.#readOn())
    return this.#reading
  }

  async #readOn(): Promise<void> {
    const { dead } = this.#names
    const [start, end] = await this.#administer(`Reading topic ${dead}`, async (gateway) => {
      const earliest = await gateway.offsets(dead, 'earliest')
      const latest = await gateway.offsets(dead, 'latest')
      return [earliest.get(0) ?? 0, latest.get(0) ?? 0]
    })
    // The topic was made anew.
    if (end < this.#readUpTo) {
      this.#letters.clear()
      this.#readUpTo = 0
    }
    this.#readUpTo = Math.max(this.#readUpTo, start)
    while (this.#readUpTo < end) {
      const { messages, next } = await this.#fetch(this.#readUpTo)
      for (const message of messages) {
        const id = letterIdOf(message)
        // Written twice, the later one counts: it is the one that compaction keeps.
        this.#letters.delete(id)
        if (message.value !== null) this.#letters.set(id, Number(message.offset))
      }
      this.#readUpTo = next ?? end
    }
  }

  /** Without `next` there is nothing more. */
  async #fetch(from: number): Promise<{ messages: readonly KafkaMessage[]; next: number | undefined }> {
    const { dead } = this.#names
    return this.#administer(`Reading topic ${dead}`, async (gateway) => {
      const leader = await gateway.leaderOf(dead, 0)
      const answer: FetchAnswer = await leader.fetch({
        maxWaitTime: fetchWaitMs,
        minBytes: 1,
        maxBytes: fetchBytes,
        isolationLevel: 1,
        topics: [
          { topic: dead, partitions: [{ partition: 0, fetchOffset: String(from), maxBytes: fetchBytes }] },
        ],
      })
      const all = answer.responses.flatMap(({ partitions }) => partitions.flatMap(({ messages }) => messages))
      const last = all.at(-1)
      return {
        messages: all.filter(
          ({ offset, isControlRecord }) => Number(offset) >= from && isControlRecord !== true,
        ),
        next: last === undefined ? undefined : Math.max(Number(last.offset) + 1, from + 1),
      }
    })
  }
}
