import type { Capabilities, DeadLetterStore, StoredDeadLetter } from '../driver.ts'
import { ConfigurationError, MessagingError, toMessagingError } from '../lib/errors.ts'
import { toIssues } from '../lib/validation.ts'
import { exportedSchema, fromExported } from './exported-dead-letter.ts'

/** Why a letter was not imported. */
export interface RefusedLetter {
  /** Its place in what was given, from 0. */
  readonly index: number
  /** Undefined when it says none. */
  readonly id: string | undefined
  /** `invalid-options` with every problem and its path, `too-large`, or what the broker answered. */
  readonly error: MessagingError
}

export interface ImportReport {
  readonly imported: number
  /** How many were there already, under the same id. */
  readonly alreadyThere: number
  /** The others are imported all the same. */
  readonly refused: readonly RefusedLetter[]
}

export interface ImportTarget {
  readonly store: DeadLetterStore
  readonly add: NonNullable<DeadLetterStore['add']>
  readonly capabilities: Pick<Capabilities, 'maxMessageBytes' | 'publishBatchSize'>
  /** For people. */
  readonly driver: string
}

// Of one call to the driver, which splits it as its broker demands.
const mostBytes = 4 * 1024 * 1024

interface Placed {
  readonly index: number
  readonly letter: StoredDeadLetter
}

/** Adds letters in batches, each id once. Each letter is answered for: added, there already, or refused. */
export class LetterImport {
  readonly #target: ImportTarget
  readonly #there = new Set<string>()
  readonly #refused: RefusedLetter[] = []
  #imported = 0
  #alreadyThere = 0
  #batch: Placed[] = []
  #bytes = 0

  constructor(target: ImportTarget) {
    this.#target = target
  }

  /** @throws what the input throws; what was added by then stays. */
  async run(letters: Iterable<unknown> | AsyncIterable<unknown>): Promise<ImportReport> {
    for await (const { id } of this.#target.store.list()) this.#there.add(id)
    let index = 0
    for await (const letter of letters) {
      await this.#take(letter, index)
      index += 1
    }
    await this.#flush()
    return { imported: this.#imported, alreadyThere: this.#alreadyThere, refused: this.#refused }
  }

  async #take(given: unknown, index: number): Promise<void> {
    const parsed = exportedSchema().safeParse(given)
    if (!parsed.success) {
      const error = new ConfigurationError(`dead letter ${index}`, toIssues(parsed.error))
      this.#refused.push({ index, id: idOf(given), error })
      return
    }
    const letter = fromExported(parsed.data)
    if (this.#there.has(letter.id)) {
      this.#alreadyThere += 1
      return
    }
    const { capabilities, driver } = this.#target
    const tooLarge = tooLargeFor(letter, capabilities.maxMessageBytes, driver)
    if (tooLarge !== undefined) {
      this.#refused.push({ index, id: letter.id, error: tooLarge })
      return
    }
    this.#there.add(letter.id)
    this.#batch.push({ index, letter })
    this.#bytes += letter.body.byteLength
    if (this.#batch.length >= capabilities.publishBatchSize || this.#bytes >= mostBytes) await this.#flush()
  }

  async #flush(): Promise<void> {
    const batch = this.#batch
    this.#batch = []
    this.#bytes = 0
    if (batch.length === 0) return
    const { add } = this.#target
    const outcomes = await add(batch.map(({ letter }) => letter)).catch((thrown: unknown) => {
      const error = toMessagingError(thrown, 'Adding dead letters failed')
      return batch.map(() => ({ ok: false as const, error }))
    })
    for (const [place, { index, letter }] of batch.entries()) {
      const outcome = outcomes[place]
      if (outcome?.ok) this.#imported += 1
      else {
        this.#there.delete(letter.id)
        const error = outcome?.error ?? noAnswer()
        this.#refused.push({ index, id: letter.id, error })
      }
    }
  }
}

/** A letter must be able to go back to its group, as a message without its failure record. */
export function tooLargeFor(
  { id, body, headers }: StoredDeadLetter,
  maxMessageBytes: number,
  driver: string,
): MessagingError | undefined {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith('waybill-'))
  const bytes = own.reduce(
    (sum, [name, value]) => sum + name.length + Buffer.byteLength(value),
    body.byteLength,
  )
  if (bytes <= maxMessageBytes) return undefined
  const what = `Dead letter ${id} has ${bytes} bytes with its headers, but the ${driver} driver takes at most ${maxMessageBytes}`
  return new MessagingError('too-large', `${what}; it was not added`, { fate: 'not-sent' })
}

export function noAnswer(): MessagingError {
  return new MessagingError('failed', 'The driver did not say whether the dead letter was added')
}

function idOf(given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null || !('id' in given)) return undefined
  return typeof given.id === 'string' ? given.id : undefined
}
