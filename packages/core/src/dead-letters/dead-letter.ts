import { attemptOf, headerNames } from '../driver/transport-headers.ts'
import type { StoredDeadLetter } from '../driver.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import type { Message } from '../messages/message.ts'

/** A message that a group gave up on: the full message plus reason, origin, time and attempts. */
export interface DeadLetter {
  /** The id of the letter, not of the message: one message can be given up more than once. */
  readonly id: string
  /**
   * `attempts-exhausted`, `permanent` (a handler threw `PermanentError`), `not-retryable` (the policy said so),
   * `undecodable`, `unknown-version`, `invalid-data`, `unhandled` (nobody in the group took its type), `crash-loop` (its
   * consumers kept dying), `unknown` (the broker moved it there), or what was given to `deadLetter(reason)`.
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
  /** The ordering key, where it is known. */
  readonly key: string | undefined
  /** All transport headers. */
  readonly headers: Readonly<Record<string, string>>
}

function dateOf(text: string | undefined): Date | undefined {
  const date = new Date(text ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}

async function read(
  stored: StoredDeadLetter,
  reader: BodyReader,
  failedAt: Date | undefined,
): Promise<Message | undefined> {
  try {
    return await reader.read(stored, failedAt?.getTime() ?? 0)
  } catch {
    // The reason says so; the body is there to look at.
    return undefined
  }
}

/** A stored letter as applications see it. Tolerant: what cannot be read is left out, never thrown. */
export async function toDeadLetter(
  stored: StoredDeadLetter,
  reader: BodyReader,
  topic: string,
  group: string,
): Promise<DeadLetter> {
  const { id, headers, body, contentType } = stored
  const errorName = headers[headerNames.errorName]
  const failedAt = dateOf(headers[headerNames.failedAt])
  const message = await read(stored, reader, failedAt)
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
    message,
    key: message?.key ?? stored.key,
    body,
    contentType,
    headers,
  }
}
