import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { headerNames } from '../driver/transport-headers.ts'
import { describe } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { attributesIn, isStructured } from '../messages/cloud-events.ts'

// Brokers bound headers (RabbitMQ's frame, SQS's attributes): enough to find the place, no more.
const maxMessageLength = 1024
const maxStackLength = 4096

// Libraries throw errors whose fields are not text, or throw when they are read. Half a character, whether from cutting or
// original, is not valid UTF-8.
function clip(read: () => unknown, length: number): string {
  const text = textOf(read)
  return text.length <= length ? text.toWellFormed() : `${text.slice(0, length - 1).toWellFormed()}…`
}

function textOf(read: () => unknown): string {
  try {
    const field = read()
    return typeof field === 'string' ? field : describe(field)
  } catch {
    return 'cannot be read'
  }
}

/**
 * A delivery's headers, for its copies. Of a message that is no CloudEvents event they tell as well what only the transport
 * said: a copy's own transport would say something else.
 */
export function lastingHeaders(inHand: DeliveryInHand): Readonly<Record<string, string>> {
  const { delivery } = inHand
  const { contentType, subject } = delivery
  const headers = withFailedIn(inHand)
  if (isStructured(contentType) || attributesIn(headers).specversion !== undefined) return headers
  const message = inHand.isRead ? inHand.message : undefined
  const id = message?.filledIn?.includes('id') ? message.id : delivery.transportId
  const time = message?.timestamp.getTime() ?? delivery.timestamp
  const said: Record<string, string> = {}
  if (id !== undefined) said[headerNames.id] = id
  if (subject !== undefined) said[headerNames.subject] = subject
  if (time !== undefined) said[headerNames.time] = new Date(time).toISOString()
  return { ...said, ...headers }
}

function withFailedIn({ delivery: { headers }, failedIn }: DeliveryInHand): Readonly<Record<string, string>> {
  return failedIn === undefined || failedIn === headers[headerNames.failedIn]
    ? headers
    : { ...headers, [headerNames.failedIn]: failedIn }
}

/** The headers of a copy that comes back as that attempt. */
export function postponedHeaders(inHand: DeliveryInHand, attempt: number): Record<string, string> {
  // Somebody handles it, so the clock for `unhandledAfter` starts again.
  const { [headerNames.unhandledFor]: _, ...headers } = lastingHeaders(inHand)
  return attempt === 1 ? headers : { ...headers, [headerNames.attempt]: String(attempt) }
}

/** The headers of a copy that comes back for another attempt, after one has failed or is in doubt. */
export function retryHeaders(inHand: DeliveryInHand, attempt: number, now: number): Record<string, string> {
  const headers = postponedHeaders(inHand, attempt)
  return {
    ...headers,
    [headerNames.firstFailedAt]: headers[headerNames.firstFailedAt] ?? new Date(now).toISOString(),
    [headerNames.attempt]: String(attempt),
  }
}

/** The headers of a dead letter: those the message came with, plus reason, origin, time and attempts. */
export function deadLetterHeaders(
  inHand: DeliveryInHand,
  reason: string,
  error: Error | undefined,
  now: number,
): Record<string, string> {
  const { delivery, topic, group, attempt, deliveries } = inHand
  const failedAt = new Date(now).toISOString()
  const headers: Record<string, string> = {
    ...lastingHeaders(inHand),
    [headerNames.deadLetterId]: newId(),
    [headerNames.reason]: clip(() => reason, maxMessageLength),
    [headerNames.originTopic]: topic,
    [headerNames.originGroup]: group,
    [headerNames.attempt]: String(attempt),
    [headerNames.deliveries]: String(deliveries),
    [headerNames.firstFailedAt]: delivery.headers[headerNames.firstFailedAt] ?? failedAt,
    [headerNames.failedAt]: failedAt,
  }
  if (error !== undefined) {
    headers[headerNames.errorName] = clip(() => error.name ?? 'Error', 256)
    headers[headerNames.errorMessage] = clip(() => error.message, maxMessageLength)
    headers[headerNames.errorStack] = clip(() => error.stack ?? '', maxStackLength)
  }
  return headers
}
