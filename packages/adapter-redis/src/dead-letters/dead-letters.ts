import {
  type DeadLetterStore,
  deadLetterIdOf,
  type Outcome,
  replayHeaders,
  type StoredDeadLetter,
  type TopicSpec,
  toMessagingError,
} from '@waybill/core/driver'
import { done, failed, inChunks } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { fromErrorReply } from '../errors.ts'
import { bounds } from '../wire/bounds.ts'
import { listOf } from '../wire/call.ts'
import { decodeFields, type Entry, encodeFields, type Fields } from '../wire/entries.ts'
import { type GroupKeys, groupKeys, lineOf, lineOfHeaders, type TopicKeys } from '../wire/names.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'

// How many letters are read at once: few at first, then as many as have the size of one call.
const firstPageSize = 8
const largestPageSize = 100

interface Letter extends Entry {
  readonly entryId: string
  readonly id: string
  readonly bytes: number
}

interface NewLetter {
  readonly index: number
  readonly letter: StoredDeadLetter
  readonly fields: Fields
  readonly bytes: number
}

/** The dead letters of a group: entries of a stream that nobody consumes, looked up by letter id in a hash. */
export class RedisDeadLetters implements DeadLetterStore {
  readonly #shared: SharedConnection
  readonly #keys: GroupKeys
  readonly #groups: string
  readonly #name: string
  readonly #ordered: boolean

  constructor(shared: SharedConnection, topic: TopicSpec, topicKeys: TopicKeys, group: string) {
    this.#shared = shared
    this.#keys = groupKeys(topicKeys, group)
    this.#groups = topicKeys.groups
    this.#name = group
    this.#ordered = topic.ordered
  }

  async count(): Promise<number> {
    return asNumber(await this.#shared.call('XLEN', this.#keys.dead))
  }

  async *list(): AsyncIterable<StoredDeadLetter> {
    for await (const page of this.#pages('+')) {
      for (const { id, body, contentType, headers } of page) yield { id, body, contentType, headers }
    }
  }

  replay(ids: readonly string[] | 'all'): Promise<number> {
    return this.#forEachPage(ids, async (letters) => {
      const { dead, deadIndex, own, wake } = this.#keys
      const copies = letters.map((letter) => {
        const headers = replayHeaders(letter.headers)
        return { letter, line: this.#lineOf(letter, headers), fields: encodeFields({ ...letter, headers }) }
      })
      const answer = await this.#shared.run('replay', {
        keys: { dead, deadIndex, own, groupWake: wake },
        args: {
          letters: copies.map(({ letter: { entryId, id }, line, fields }) => ({
            ...{ entry: entryId, letter: id, line, size: fields.length },
          })),
        },
        values: copies.flatMap(({ fields }) => fields),
      })
      return asNumber(answer.fields.count)
    })
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#forEachPage(ids, async (letters) => {
      const { dead, deadIndex } = this.#keys
      const answer = await this.#shared.run('discard', {
        keys: { dead, deadIndex },
        args: { letters: letters.map(({ entryId, id }) => ({ entry: entryId, letter: id })) },
      })
      return asNumber(answer.fields.count)
    })
  }

  async add(letters: readonly StoredDeadLetter[]): Promise<readonly Outcome[]> {
    const outcomes = new Array<Outcome>(letters.length).fill(done)
    const items = letters.map((letter, index) => {
      const fields = encodeFields(letter, this.#lineOfNew(letter))
      return { index, letter, fields, bytes: letter.body.byteLength }
    })
    await Promise.all(inChunks(items, bounds).map((chunk) => this.#add(chunk, outcomes)))
    return outcomes
  }

  async #add(items: readonly NewLetter[], outcomes: Outcome[]): Promise<void> {
    const what = `Adding dead letters of group ${this.#name} failed`
    try {
      const { dead, deadIndex } = this.#keys
      const { fields } = await this.#shared.run('addLetters', {
        keys: { groups: this.#groups, dead, deadIndex },
        args: {
          group: this.#name,
          letters: items.map(({ letter: { id }, fields: { length: size } }) => ({ letter: id, size })),
        },
        values: items.flatMap((item) => item.fields),
      })
      for (const failure of listOf(fields.failures)) {
        const item = items[asNumber(failure.index)]
        if (item !== undefined) outcomes[item.index] = failed(fromErrorReply(asText(failure.error), what))
      }
    } catch (thrown) {
      const error = toMessagingError(thrown, what)
      for (const { index } of items) outcomes[index] = failed(error)
    }
  }

  #lineOfNew({ key, headers }: StoredDeadLetter): number {
    const partitions = this.#keys.own.length
    return this.#ordered ? lineOf({ ordered: true, partitions }, key, undefined) : lineOfHeaders(headers)
  }

  /** The line it came from; letters that somebody else put there tell none. */
  #lineOf({ line }: Letter, headers: Readonly<Record<string, string>>): number {
    if (line !== undefined && line < this.#keys.own.length) return line
    return this.#ordered ? 0 : lineOfHeaders(headers)
  }

  async #forEachPage(
    ids: readonly string[] | 'all',
    act: (letters: readonly Letter[]) => Promise<number>,
  ): Promise<number> {
    let total = 0
    const pages = ids === 'all' ? this.#pages(await this.#newest()) : this.#named(ids)
    for await (const page of pages) {
      for (const chunk of inChunks(page, bounds)) total += await act(chunk)
    }
    return total
  }

  async #newest(): Promise<string> {
    const [last] = asArray(await this.#shared.call('XREVRANGE', this.#keys.dead, '+', '-', 'COUNT', 1))
    return last === undefined ? '0-0' : asText(asArray(last)[0])
  }

  async *#pages(end: string): AsyncIterable<readonly Letter[]> {
    let start = '-'
    let size = firstPageSize
    for (;;) {
      const reply = asArray(await this.#shared.call('XRANGE', this.#keys.dead, start, end, 'COUNT', size))
      const page = reply.map(toLetter)
      if (page.length > 0) yield page
      const last = page.at(-1)
      if (last === undefined || page.length < size) return
      start = `(${last.entryId}`
      const average = page.reduce((sum, { bytes }) => sum + bytes, 0) / page.length
      size = Math.max(1, Math.min(largestPageSize, Math.floor(bounds.maxBytes / (average + 1))))
    }
  }

  async *#named(ids: readonly string[]): AsyncIterable<readonly Letter[]> {
    for (let first = 0; first < ids.length; first += firstPageSize) {
      const page = ids.slice(first, first + firstPageSize)
      const entries = asArray(await this.#shared.call('HMGET', this.#keys.deadIndex, ...page))
      const entryIds = page.map((id, index) => (entries[index] === null ? id : asText(entries[index])))
      // A letter that somebody else put there goes by its entry's id.
      const known = entryIds.filter((entryId) => /^\d+-\d+$/.test(entryId))
      const found = await Promise.all(
        known.map((entryId) => this.#shared.call('XRANGE', this.#keys.dead, entryId, entryId)),
      )
      yield found.flatMap((reply) => asArray(reply).map(toLetter))
    }
  }
}

function toLetter(reply: unknown): Letter {
  const [id, fields] = asArray(reply)
  const entryId = asText(id)
  const entry = decodeFields(asArray(fields))
  return { ...entry, entryId, id: deadLetterIdOf(entry.headers) ?? entryId, bytes: entry.body.byteLength }
}
