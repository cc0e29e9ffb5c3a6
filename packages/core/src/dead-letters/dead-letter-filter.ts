import { z } from 'zod'
import { matchesPattern } from '../driver/pattern.ts'
import { type Duration, toMilliseconds } from '../lib/duration.ts'
import { durationSchema } from '../lib/duration-schema.ts'
import { lazily } from '../lib/validation.ts'
import { typeSchema } from '../messages/topic.ts'
import type { DeadLetter } from './dead-letter.ts'

/** Which letters are meant: those that meet every condition given. */
export interface DeadLetterFilter {
  /** The message's type, or a pattern such as `order.#`. Letters that cannot be decoded have none. */
  readonly type?: string
  /** Exactly this reason, such as `attempts-exhausted`. */
  readonly reason?: string
  /** The name of the error, or a part of its message. */
  readonly error?: string
  /** The id of the message. One message can have several letters. */
  readonly messageId?: string
  /** Given up at least this long ago. */
  readonly olderThan?: Duration
  /** Given up at most this long ago. */
  readonly newerThan?: Duration
}

/** The fields of a filter, for schemas that take more besides. */
export const filterFields = lazily(() => ({
  type: typeSchema().optional(),
  reason: z.string().min(1).optional(),
  error: z.string().min(1).optional(),
  messageId: z.string().min(1).optional(),
  olderThan: durationSchema().optional(),
  newerThan: durationSchema().optional(),
}))

export const filterSchema = lazily(() => z.strictObject(filterFields()))

/** A filter that has been parsed. */
export type ParsedFilter = z.output<ReturnType<typeof filterSchema>>

/** Whether a letter meets the filter. A letter without a time is as old as can be. */
export function matchesFilter(letter: DeadLetter, filter: ParsedFilter, now: number): boolean {
  const { type, reason, error, messageId, olderThan, newerThan } = filter
  const ageMs = now - (letter.failedAt?.getTime() ?? Number.NEGATIVE_INFINITY)
  return (
    (type === undefined || (letter.message !== undefined && matchesPattern(type, letter.message.type))) &&
    (reason === undefined || letter.reason === reason) &&
    (error === undefined || letter.error?.name === error || letter.error?.message.includes(error) === true) &&
    (messageId === undefined || letter.message?.id === messageId) &&
    (olderThan === undefined || ageMs >= toMilliseconds(olderThan)) &&
    (newerThan === undefined || ageMs <= toMilliseconds(newerThan))
  )
}
