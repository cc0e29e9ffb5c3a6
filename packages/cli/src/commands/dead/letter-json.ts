import type { DeadLetter } from '@waybill/core'
import { messageToJson } from '../message-json.ts'

/** A letter as `dead list` prints it: all but what is in the message. */
export function letterToJson({ id, reason, error, topic, group, attempts, ...letter }: DeadLetter) {
  const { message, deliveries, firstFailedAt, failedAt } = letter
  return {
    id,
    topic,
    group,
    reason,
    error: error === undefined ? null : { name: error.name, message: error.message },
    attempts,
    deliveries,
    firstFailedAt: firstFailedAt?.toISOString() ?? null,
    failedAt: failedAt?.toISOString() ?? null,
    messageId: message?.id ?? null,
    type: message?.type ?? null,
    key: message?.key ?? null,
  }
}

/** A letter as `dead show` prints it: with the message, the stack of the error, and the body as it arrived. */
export function wholeLetterToJson(letter: DeadLetter) {
  const { error, message, body, contentType, headers } = letter
  return {
    ...letterToJson(letter),
    error: error === undefined ? null : { ...error, stack: error.stack ?? null },
    message: message === undefined ? null : messageToJson(message),
    contentType: contentType ?? null,
    headers,
    body: Buffer.from(body).toString('base64'),
  }
}
