import type { DeadLetter } from './dead-letter.ts'

export interface DeadLetterPage {
  readonly letters: readonly DeadLetter[]
  /** For `after` of the next page; undefined when this is the last one. */
  readonly next: string | undefined
}

/** The place of a letter in the list: the letter itself, and its time in case it is gone when the next page is asked for. */
interface Place {
  readonly id: string
  readonly time: number
}

function placeOf({ id, failedAt }: DeadLetter): Place {
  return { id, time: failedAt?.getTime() ?? 0 }
}

function readPlace(cursor: string): Place {
  const [time = '', ...id] = cursor.split(':')
  return { id: id.join(':'), time: Number.parseInt(time, 36) || 0 }
}

function writePlace({ id, time }: Place): string {
  return `${time.toString(36)}:${id}`
}

/**
 * Gathers one page out of a list that begins with the oldest letter. It begins after the last letter of the page before;
 * when that one has gone, with the first that is not older.
 */
export class PageCollector {
  readonly #size: number
  readonly #after: Place | undefined
  /** What the page is if the letter it begins after does not turn up. */
  #letters: DeadLetter[] = []
  #hasMore = false
  #isBehind: boolean

  constructor(size: number, after: string | undefined) {
    this.#size = size
    this.#after = after === undefined ? undefined : readPlace(after)
    this.#isBehind = after === undefined
  }

  /** `full`: further letters would change nothing. */
  add(letter: DeadLetter, isWanted: boolean): 'open' | 'full' {
    if (letter.id === this.#after?.id) {
      this.#isBehind = true
      this.#letters = []
      this.#hasMore = false
    } else if (isWanted && (this.#isBehind || placeOf(letter).time >= (this.#after?.time ?? 0))) {
      if (this.#letters.length < this.#size) this.#letters.push(letter)
      else this.#hasMore = true
    }
    return this.#isBehind && this.#hasMore ? 'full' : 'open'
  }

  result(): DeadLetterPage {
    const last = this.#letters.at(-1)
    return {
      letters: this.#letters,
      next: this.#hasMore && last !== undefined ? writePlace(placeOf(last)) : undefined,
    }
  }
}
