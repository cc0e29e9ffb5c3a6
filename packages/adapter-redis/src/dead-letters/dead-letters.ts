import {
  type DeadLetterStore,
  deadLetterIdOf,
  replayHeaders,
  type StoredDeadLetter,
} from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import { discard } from '../scripts/discard.ts'
import { replay } from '../scripts/replay.ts'
import { chunksOfBytes } from '../wire/chunks.ts'
import {
  type Argument,
  decodeFields,
  type Entry,
  encodeFields,
  type GroupKeys,
  lineOfHeaders,
} from '../wire/messages.ts'
import { asArray, asNumber, asText } from '../wire/reply.ts'

// How many letters are read at once.
const pageSize = 100

interface Letter extends Entry {
  readonly entryId: string
  readonly id: string
  readonly bytes: number
}

/** The dead letters of a group: entries of a stream that nobody consumes, found by letter id through a hash. */
export class RedisDeadLetters implements DeadLetterStore {
  readonly #shared: SharedConnection
  readonly #keys: GroupKeys
  readonly #ordered: boolean

  constructor(shared: SharedConnection, keys: GroupKeys, ordered: boolean) {
    this.#shared = shared
    this.#keys = keys
    this.#ordered = ordered
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
      const args = letters.flatMap((letter): Argument[] => {
        const headers = replayHeaders(letter.headers)
        const fields = encodeFields({ ...letter, headers })
        return [letter.entryId, letter.id, this.#lineOf(letter, headers), fields.length, ...fields]
      })
      const { dead, deadIndex, own } = this.#keys
      return asNumber(await this.#shared.run(replay, [dead, deadIndex, ...own], args))
    })
  }

  discard(ids: readonly string[] | 'all'): Promise<number> {
    return this.#forEachPage(ids, async (letters) => {
      const args = letters.flatMap(({ entryId, id }) => [entryId, id])
      return asNumber(await this.#shared.run(discard, [this.#keys.dead, this.#keys.deadIndex], args))
    })
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
      for (const chunk of chunksOfBytes(page)) total += await act(chunk)
    }
    return total
  }

  async #newest(): Promise<string> {
    const [last] = asArray(await this.#shared.call('XREVRANGE', this.#keys.dead, '+', '-', 'COUNT', 1))
    return last === undefined ? '0-0' : asText(asArray(last)[0])
  }

  async *#pages(end: string): AsyncIterable<readonly Letter[]> {
    let start = '-'
    for (;;) {
      const reply = asArray(await this.#shared.call('XRANGE', this.#keys.dead, start, end, 'COUNT', pageSize))
      const page = reply.map(toLetter)
      if (page.length > 0) yield page
      const last = page.at(-1)
      if (last === undefined || page.length < pageSize) return
      start = `(${last.entryId}`
    }
  }

  async *#named(ids: readonly string[]): AsyncIterable<readonly Letter[]> {
    for (let first = 0; first < ids.length; first += pageSize) {
      const page = ids.slice(first, first + pageSize)
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
