import {
  type Clock,
  type DeadLetterStore,
  MessagingError,
  type Outcome,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import { firstFailure } from '@waybill/core/driver-kit'
import type { Administer } from '../connection/lent-gateway.ts'
import { LogReader } from '../connection/log-reader.ts'
import { isItselfTooLarge, isTooLarge, type MakeRoom, noAnswer, sendLarge } from '../sending/large-records.ts'
import type { Publisher } from '../sending/publisher.ts'
import {
  bodyAddressOf,
  fromLetter,
  letterIdOf,
  type Resolution,
  toNewLetter,
  toReplay,
  toResolution,
} from '../wire/letters.ts'
import type { GroupNames } from '../wire/names.ts'
import { batchBytes, recordBytes } from '../wire/record-limits.ts'
import type { ConsumedRecord, ProducedRecord } from '../wire/records.ts'

// One fetch of the letters; the answer of a broker that has more comes at once.
const fetchBytes = 4 * 1024 * 1024
const fetchWaitMs = 100
const resolveBatch = 500

/**
 * A group's dead letters: a compacted topic of one partition, in which a record without value takes off the letter of
 * the same key. Listing reads all of it, without a consumer group; only offsets are kept in memory.
 */
export class KafkaDeadLetters implements DeadLetterStore {
  readonly #administer: Administer
  readonly #publisher: Publisher
  readonly #makeRoom: MakeRoom
  readonly #names: GroupNames
  readonly #clock: Clock
  readonly #reader: LogReader
  /** Letters by id with their offsets, oldest first, as far as they were read. */
  readonly #letters = new Map<string, number>()
  #reading: Promise<void> = Promise.resolve()

  constructor(
    administer: Administer,
    publisher: Publisher,
    makeRoom: MakeRoom,
    names: GroupNames,
    clock: Clock,
  ) {
    this.#clock = clock
    this.#administer = administer
    this.#publisher = publisher
    this.#makeRoom = makeRoom
    this.#names = names
    this.#reader = new LogReader(administer, names.dead)
  }

  async count(): Promise<number> {
    await this.#refresh()
    return this.#letters.size
  }

  async *list(): AsyncGenerator<StoredDeadLetter> {
    for await (const page of this.#pages('all')) {
      for (const letter of page) yield fromLetter((await this.#bodyOf(letter)) ?? letter)
    }
  }

  replay(ids: readonly string[] | 'all'): Promise<number> {
    return this.#resolve(ids, 'replay')
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#resolve(ids, 'discard')
  }

  async add(letters: readonly StoredDeadLetter[]): Promise<readonly Outcome[]> {
    const { dead } = this.#names
    const records = letters.map((letter) => toNewLetter(letter, this.#clock.now()))
    const outcomes = [...(await this.#publisher.send(dead, records))]
    for (const [index, record] of records.entries()) {
      if (isItselfTooLarge(outcomes[index] ?? noAnswer, record)) {
        outcomes[index] = await this.#sendLarge(dead, record)
      }
    }
    return outcomes
  }

  async #resolve(ids: readonly string[] | 'all', resolution: Resolution): Promise<number> {
    let count = 0
    for await (const page of this.#pages(ids)) {
      for (let start = 0; start < page.length; start += resolveBatch) {
        const letters = page.slice(start, start + resolveBatch)
        if (resolution === 'replay') await this.#putBack(letters)
        await this.#send(
          this.#names.dead,
          letters.map((letter) => toResolution(letterIdOf(letter), resolution)),
        )
        count += letters.length
      }
    }
    return count
  }

  async #putBack(letters: readonly ConsumedRecord[]): Promise<void> {
    const small: ConsumedRecord[] = []
    for (const letter of letters) {
      if (bodyAddressOf(letter) === undefined) small.push(letter)
      else {
        const whole = await this.#bodyOf(letter)
        if (whole === undefined) throw bodyGone(letterIdOf(letter), this.#names.main)
        await this.#putBackLarge(whole)
      }
    }
    const outcomes =
      small.length === 0 ? [] : await this.#publisher.send(this.#names.retry, small.map(toReplay))
    for (const [index, letter] of small.entries()) {
      const outcome = outcomes[index] ?? noAnswer
      if (isItselfTooLarge(outcome, letter)) await this.#putBackLarge(letter)
      else if (!outcome.ok) throw outcome.error
    }
  }

  async #putBackLarge(letter: ConsumedRecord): Promise<void> {
    const { retry } = this.#names
    const record = toReplay(letter)
    const outcome = await this.#sendLarge(retry, record)
    if (isTooLarge(outcome)) throw doesNotFit(letterIdOf(letter), retry, batchBytes(recordBytes(record)))
    if (!outcome.ok) throw outcome.error
  }

  #sendLarge(topic: string, record: ProducedRecord): Promise<Outcome> {
    return sendLarge({ publisher: this.#publisher, makeRoom: this.#makeRoom }, topic, record)
  }

  /** The letter with its body, which is still where the message was if it was too large to be copied. */
  async #bodyOf(letter: ConsumedRecord): Promise<ConsumedRecord | undefined> {
    const address = bodyAddressOf(letter)
    if (address === undefined) return letter
    const { topic, partition, offset } = address
    const { records } = await this.#administer(`Reading topic ${topic}`, (gateway) =>
      gateway.logs.read(topic, partition, offset, { maxBytes: fetchBytes, maxWaitMs: fetchWaitMs }),
    )
    const source = records.find((record) => Number(record.offset) === offset)
    return source && { ...letter, value: source.value }
  }

  async #send(topic: string, messages: readonly ProducedRecord[]): Promise<void> {
    const failure = firstFailure(await this.#publisher.send(topic, messages))
    if (failure !== undefined) throw failure.error
  }

  /** The records of the letters wanted that are there now, in the order they came. */
  async *#pages(ids: readonly string[] | 'all'): AsyncGenerator<readonly ConsumedRecord[]> {
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
      const { records, next } = await this.#reader.fetch(at)
      // They were there before.
      if (next === at) throw this.#reader.withheld()
      at = next
      const page = records.filter((record) => wanted.get(letterIdOf(record)) === Number(record.offset))
      if (page.length > 0) yield page
    }
  }

  /** Reads what came since the last time. */
  #refresh(): Promise<void> {
    this.#reading = this.#reading.catch(() => {}).then(() => this.#readOn())
    return this.#reading
  }

  #readOn(): Promise<void> {
    return this.#reader.readOn(
      (record) => {
        const id = letterIdOf(record)
        // Written twice, the later one counts: it is the one that compaction keeps.
        this.#letters.delete(id)
        if (record.value !== null) this.#letters.set(id, Number(record.offset))
      },
      () => this.#letters.clear(),
    )
  }
}

function doesNotFit(id: string, topic: string, bytes: number): MessagingError {
  const message = `Dead letter ${id} is too large for topic ${topic}, and we may not alter it: raise its max.message.bytes to ${bytes}, then replay the letter again`
  return new MessagingError('too-large', message, { fate: 'not-sent' })
}

function bodyGone(id: string, topic: string): MessagingError {
  const message = `Dead letter ${id} has no body: it was too large for a copy, and topic ${topic} no longer has the message; discard it`
  return new MessagingError('rejected', message)
}
