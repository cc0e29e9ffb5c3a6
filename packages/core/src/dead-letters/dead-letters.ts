import { z } from 'zod'
import type { DeadLetterStore, Driver, StoredDeadLetter } from '../driver.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import type { Formats } from '../encoding/formats.ts'
import type { Clock } from '../lib/clock.ts'
import { ConfigurationError, MessagingError } from '../lib/errors.ts'
import { patiently } from '../lib/patiently.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Topic } from '../messages/topic.ts'
import { type DeadLetter, toDeadLetter } from './dead-letter.ts'
import {
  type DeadLetterFilter,
  filterFields,
  filterSchema,
  matchesFilter,
  type ParsedFilter,
} from './dead-letter-filter.ts'
import { type ExportedDeadLetter, toExported } from './exported-dead-letter.ts'
import { changeSchema, editedLetter, isEditOf, type LetterChange } from './letter-edit.ts'
import { type ImportReport, LetterImport, noAnswer, tooLargeFor } from './letter-import.ts'
import { type DeadLetterPage, PageCollector } from './page-collector.ts'

export interface DeadLetterPageOptions extends DeadLetterFilter {
  /** Letters on the page at most. Default: 100. */
  readonly size?: number
  /** `next` of the page before. Default: from the oldest on. */
  readonly after?: string | undefined
}

/** Which letters: by the letter's id, by several, or all that meet a filter of at least one condition. */
export type DeadLetterSelection = string | readonly string[] | DeadLetterFilter

export interface ReplayReport {
  readonly replayed: number
  /** The ids asked for that were not there: replayed or discarded before, or never there. */
  readonly missing: readonly string[]
}

export interface DiscardReport {
  readonly discarded: number
  /** The ids asked for that were not there: replayed or discarded before, or never there. */
  readonly missing: readonly string[]
}

/** What the dead letters of a group need of their bus. */
export interface DeadLettersHost {
  readonly clock: Clock
  readonly reader: BodyReader
  readonly formats: Formats
  readonly driver: Pick<Driver, 'name' | 'capabilities'>
  /** The driver's store; throws `closed` after the bus was closed. */
  open(): DeadLetterStore
}

// However many letters a filter meets, each call to the broker names no more than these.
const idsAtOnce = 500

const idSchema = lazily(() => z.string().min(1))

const pageSchema = lazily(() =>
  z.strictObject({
    ...filterFields(),
    size: z.int().min(1).max(10_000).default(100),
    after: z.string().min(1).optional(),
  }),
)

const selectionSchema = lazily(() =>
  z.union(
    [
      idSchema().transform((id) => [id]),
      // Each once: a letter replayed twice would be two messages.
      z.array(idSchema()).transform((ids) => [...new Set(ids)]),
      filterSchema().refine((filter) => Object.values(filter).some((value) => value !== undefined)),
    ],
    'expected the id of a letter, an array of ids, or a filter with at least one condition; ' +
      'replayAll() and discardAll() take all',
  ),
)

/**
 * The dead letters of one group on one topic. Looking at them consumes nothing.
 *
 * ```ts
 * const { deadLetters } = bus.group(orders, 'billing')
 * for await (const { id, reason, message } of deadLetters.list({ type: 'order.placed' })) console.log(id, reason, message?.data)
 * await deadLetters.replay({ reason: 'attempts-exhausted', newerThan: '1h' })
 * ```
 */
export class DeadLetters {
  readonly #host: DeadLettersHost
  readonly #topic: Topic
  readonly #group: string

  /** @internal Made by `bus.group()`; the parameters may change in any version. */
  constructor(host: DeadLettersHost, topic: Topic, group: string) {
    this.#host = host
    this.#topic = topic
    this.#group = group
  }

  /**
   * How many there are. What fails for now is asked again for 5 s.
   *
   * ```ts
   * const dead = await bus.group(orders, 'billing').deadLetters.count()
   * ```
   */
  async count(): Promise<number> {
    const { clock, open } = this.#host
    return patiently(clock, () => open().count())
  }

  /**
   * All letters that match the filter, oldest first.
   *
   * ```ts
   * for await (const letter of deadLetters.list({ error: 'ECONNREFUSED' })) console.log(letter.id, letter.failedAt)
   * ```
   */
  async *list(filter: DeadLetterFilter = {}): AsyncGenerator<DeadLetter, undefined> {
    yield* this.#matching(parseOptions(filterSchema(), filter, 'filter of dead letters'))
  }

  /**
   * One page of those that match the filter, oldest first. Letters of earlier pages may be replayed or discarded in between.
   *
   * ```ts
   * const first = await deadLetters.page({ size: 50 })
   * const second = await deadLetters.page({ size: 50, after: first.next })
   * ```
   */
  async page(options: DeadLetterPageOptions = {}): Promise<DeadLetterPage> {
    const { size, after, ...filter } = parseOptions(pageSchema(), options, 'page of dead letters')
    const page = new PageCollector(size, after)
    for await (const letter of this.#all()) {
      if (page.add(letter, matchesFilter(letter, filter, this.#host.clock.now())) === 'full') break
    }
    return page.result()
  }

  /**
   * The letter of this id, or else the oldest of the message of this id; undefined when there is neither.
   *
   * ```ts
   * const letter = await deadLetters.find('order-4711')
   * ```
   */
  async find(id: string): Promise<DeadLetter | undefined> {
    const wanted = parseOptions(idSchema(), id, 'id of a dead letter')
    let ofMessage: DeadLetter | undefined
    for await (const letter of this.#all()) {
      if (letter.id === wanted) return letter
      if (letter.message?.id === wanted) ofMessage ??= letter
    }
    return ofMessage
  }

  /**
   * Sends letters back to this group only, with their attempts starting again at 1. A missing letter is no error: the report
   * names the ids that were not there.
   *
   * ```ts
   * const { replayed, missing } = await deadLetters.replay([first.id, second.id])
   * await deadLetters.replay({ messageId: 'order-4711' })
   * ```
   */
  async replay(which: DeadLetterSelection): Promise<ReplayReport> {
    const { done, missing } = await this.#each(which, (store, ids) => store.replay(ids))
    return { replayed: done, missing }
  }

  /**
   * Replays all letters that exist when the call begins; resolves with how many.
   *
   * ```ts
   * await bus.group(orders, 'billing').deadLetters.replayAll()
   * ```
   */
  async replayAll(): Promise<number> {
    return this.#host.open().replay('all')
  }

  /**
   * Removes letters for good. A missing letter is no error: the report names the ids that were not there.
   *
   * ```ts
   * await deadLetters.discard({ reason: 'invalid-data', olderThan: '30d' })
   * ```
   */
  async discard(which: DeadLetterSelection): Promise<DiscardReport> {
    const { done, missing } = await this.#each(which, (store, ids) => store.discard(ids))
    return { discarded: done, missing }
  }

  /**
   * Removes all letters that exist when the call begins, for good; resolves with how many.
   *
   * ```ts
   * await bus.group(orders, 'billing').deadLetters.discardAll()
   * ```
   */
  async discardAll(): Promise<number> {
    return this.#host.open().discard('all')
  }

  /**
   * The letters that match the filter, oldest first, each whole in a form for JSON that stays readable. They stay where they
   * are.
   *
   * ```ts
   * for await (const letter of deadLetters.export({ reason: 'invalid-data' })) file.write(`${JSON.stringify(letter)}\n`)
   * ```
   */
  async *export(filter: DeadLetterFilter = {}): AsyncGenerator<ExportedDeadLetter, undefined> {
    for await (const letter of this.list(filter)) yield toExported(letter)
  }

  /**
   * Adds exported letters to those of this group, under their ids: one that is there already is not added again, so an import
   * that was cut short is repeated as a whole. A letter that is not valid, too large, or refused by the broker is told of in the
   * report, and holds up no other.
   *
   * ```ts
   * const { imported, alreadyThere, refused } = await deadLetters.import(lines.map((line) => JSON.parse(line)))
   * for (const { index, error } of refused) console.error(`line ${index + 1}: ${error.message}`)
   * ```
   *
   * @throws {ConfigurationError} when the letters are not iterable.
   * @throws {MessagingError} `unsupported`, and what the broker answers when it is asked which letters are there.
   */
  async import(letters: Iterable<unknown> | AsyncIterable<unknown>): Promise<ImportReport> {
    requireIterable(letters)
    const { store, add } = this.#openToAdd('Importing dead letters')
    const { capabilities, name } = this.#host.driver
    return new LetterImport({ store, add, capabilities, driver: name }).run(letters)
  }

  /**
   * Sends one letter back to this group with other data or another body, and takes it off the list. The id of the message stays.
   * Whatever happens meanwhile, the letter or its edit is on the list until the edit has been replayed; a repeated call finishes
   * what was cut short.
   *
   * ```ts
   * await deadLetters.replayEdited(letter.id, { data: { ...letter.message.data, currency: 'EUR' }, definitions: [OrderPlaced] })
   * await deadLetters.replayEdited(letter.id, { body: '{"total":42}', contentType: 'application/json' })
   * ```
   *
   * @throws {ConfigurationError} when the change is not valid.
   * @throws {InvalidMessageError} when the data does not fit its definition; nothing has changed.
   * @throws {MessagingError} `unsupported`, `too-large`, and what the broker answers.
   */
  async replayEdited(id: string, change: LetterChange): Promise<ReplayReport> {
    const wanted = parseOptions(idSchema(), id, 'id of a dead letter')
    const parsed = parseOptions(changeSchema(), change, 'change of a dead letter')
    const { store, add } = this.#openToAdd('Replaying an edited dead letter')
    const { driver } = this.#host
    let original: StoredDeadLetter | undefined
    const edits: StoredDeadLetter[] = []
    for await (const letter of store.list()) {
      if (letter.id === wanted) original = letter
      else if (isEditOf(wanted, letter)) edits.push(letter)
    }
    const source = original ?? edits[0]
    if (source === undefined) return { replayed: 0, missing: [wanted] }
    const edited = await editedLetter(wanted, source, parsed, { ...this.#host, topic: this.#topic })
    const tooLarge = tooLargeFor(edited, driver.capabilities.maxMessageBytes, driver.name)
    if (tooLarge !== undefined) throw tooLarge
    if (!edits.some((edit) => edit.id === edited.id)) {
      const [outcome] = await add([edited])
      if (outcome?.ok !== true) throw outcome?.error ?? noAnswer()
    }
    // The original goes before the replay: after it, a repeated call could not tell that it has been replayed.
    const others = [original, ...edits].flatMap((each) => (each && each.id !== edited.id ? [each.id] : []))
    if (others.length > 0) await store.discard(others)
    const replayed = await store.replay([edited.id])
    return { replayed, missing: replayed === 0 ? [wanted] : [] }
  }

  #openToAdd(what: string): {
    readonly store: DeadLetterStore
    readonly add: NonNullable<DeadLetterStore['add']>
  } {
    const store = this.#host.open()
    const add = store.add?.bind(store)
    if (add !== undefined) return { store, add }
    const next = 'Instead: replay the letters, or send new messages'
    throw new MessagingError(
      'unsupported',
      `${what} is not supported by the ${this.#host.driver.name} driver. ${next}`,
    )
  }

  async #each(
    which: DeadLetterSelection,
    run: (store: DeadLetterStore, ids: readonly string[]) => Promise<number>,
  ): Promise<{ readonly done: number; readonly missing: readonly string[] }> {
    const selected = parseOptions(selectionSchema(), which, 'selection of dead letters')
    const store = this.#host.open()
    // The count tells all there is to know of a single one; looking through the letters first would cost a listing.
    if (Array.isArray(selected) && selected.length === 1) {
      const done = await run(store, selected)
      return { done, missing: done === 0 ? selected : [] }
    }
    const there = Array.isArray(selected) ? await this.#thoseThere(selected) : await this.#idsOf(selected)
    let done = 0
    for (let start = 0; start < there.length; start += idsAtOnce) {
      done += await run(store, there.slice(start, start + idsAtOnce))
    }
    const found = new Set(there)
    const missing = Array.isArray(selected) ? selected.filter((id) => !found.has(id)) : []
    return { done, missing }
  }

  /** Those of the ids that have a letter. Drivers say how many there were, and not which. */
  async #thoseThere(ids: readonly string[]): Promise<readonly string[]> {
    const sought = new Set(ids)
    const there = new Set<string>()
    if (sought.size === 0) return []
    for await (const { id } of this.#host.open().list()) {
      if (sought.has(id)) there.add(id)
      if (there.size === sought.size) break
    }
    return [...there]
  }

  async #idsOf(filter: ParsedFilter): Promise<readonly string[]> {
    const ids = new Set<string>()
    for await (const { id } of this.#matching(filter)) ids.add(id)
    return [...ids]
  }

  async *#matching(filter: ParsedFilter): AsyncGenerator<DeadLetter, undefined> {
    for await (const letter of this.#all()) {
      if (matchesFilter(letter, filter, this.#host.clock.now())) yield letter
    }
  }

  async *#all(): AsyncGenerator<DeadLetter, undefined> {
    for await (const stored of this.#host.open().list()) {
      yield await toDeadLetter(stored, this.#host.reader, this.#topic.name, this.#group)
    }
  }
}

function requireIterable(letters: unknown): void {
  const isObject = typeof letters === 'object' && letters !== null
  if (isObject && (Symbol.iterator in letters || Symbol.asyncIterator in letters)) return
  const message = 'expected an array, or another iterable, of exported letters'
  throw new ConfigurationError('import of dead letters', [{ path: '', message }])
}
