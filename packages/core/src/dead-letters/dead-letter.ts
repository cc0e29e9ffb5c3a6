import { attemptOf, headerNames } from '../driver/transport-headers.ts'
import type { DeadLetterStore, StoredDeadLetter } from '../driver.ts'
import { decodeDelivery, toMessage } from '../messages/codec.ts'
import type { Message } from '../messages/message.ts'

/** A message a group gave up on, whole, with why, whence, when and after how many attempts. */
export interface DeadLetter {
  /** Of the letter, not the message: one message can be given up more than once. */
  readonly id: string
  /**
   * `attempts-exhausted`, `permanent` (a handler threw `PermanentError`), `not-retryable` (the policy said so),
   * `undecodable`, `unknown-version`, `invalid-data`, `crash-loop` (its consumers kept dying), `unknown` (the broker
   * moved it there), or what was given to `deadLetter(reason)`.
   */
  readonly reason: string
  /** What the last attempt threw. */
  readonly error:
    | { readonly name: string; readonly message: string; readonly stack: string | undefined }
    | undefined
  readonly topic: string
  readonly group: string
  readonly attempts: number
  readonly deliveries: number
  readonly firstFailedAt: Date | undefined
  readonly failedAt: Date | undefined
  /** With its data as it travelled; undefined when the body cannot be decoded. */
  readonly message: Message | undefined
  /** The body as it arrived, byte for byte. */
  readonly body: Uint8Array
  readonly contentType: string | undefined
  /** All transport headers. */
  readonly headers: Readonly<Record<string, string>>
}

function dateOf(text: string | undefined): Date | undefined {
  const date = new Date(text ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}

function decode(stored: StoredDeadLetter, failedAt: Date | undefined): Message | undefined {
  try {
    return toMessage(decodeDelivery(stored), failedAt?.getTime() ?? 0)
  } catch {
    // The reason says so; the body is there to look at.
    return undefined
  }
}

function toDeadLetter(stored: StoredDeadLetter, topic: string, group: string): DeadLetter {
  const { id, headers, body, contentType } = stored
  const errorName = headers[headerNames.errorName]
  const failedAt = dateOf(headers[headerNames.failedAt])
  return {
    id,
    reason: headers[headerNames.reason] ?? 'unknown',
    error:
      errorName === undefined
        ? undefined
        : {
            name: errorName,
            message: headers[headerNames.errorMessage] ?? '',
            stack: headers[headerNames.errorStack],
          },
    topic: headers[headerNames.originTopic] ?? topic,
    group: headers[headerNames.originGroup] ?? group,
    attempts: attemptOf(headers),
    deliveries: Math.max(1, Number(headers[headerNames.deliveries]) || 1),
    firstFailedAt: dateOf(headers[headerNames.firstFailedAt]),
    failedAt,
    message: decode(stored, failedAt),
    body,
    contentType,
    headers,
  }
}

// Each once: a letter replayed twice would be two messages.
function listed(ids: string | readonly string[]): readonly string[] {
  return typeof ids === 'string' ? [ids] : [...new Set(ids)]
}

/** The dead letters of one group on one topic. Looking at them consumes nothing. */
export class DeadLetters {
  readonly #open: () => DeadLetterStore
  readonly #topic: string
  readonly #group: string

  /** Made by `bus.deadLetters()`. */
  constructor(open: () => DeadLetterStore, topic: string, group: string) {
    this.#open = open
    this.#topic = topic
    this.#group = group
  }

  async count(): Promise<number> {
    return this.#open().count()
  }

  /** Oldest first. */
  async *list(): AsyncIterable<DeadLetter> {
    for await (const stored of this.#open().list()) yield toDeadLetter(stored, this.#topic, this.#group)
  }

  /** Sends letters back to this group only, their attempts starting anew. Resolves with how many were there. */
  async replay(ids: string | readonly string[]): Promise<number> {
    return this.#open().replay(listed(ids))
  }

  /** All that are there now. */
  async replayAll(): Promise<number> {
    return this.#open().replay('all')
  }

  /** Removes letters for good. Resolves with how many were there. */
  async discard(ids: string | readonly string[]): Promise<number> {
    return this.#open().discard(listed(ids))
  }

  async discardAll(): Promise<number> {
    return this.#open().discard('all')
  }
}
