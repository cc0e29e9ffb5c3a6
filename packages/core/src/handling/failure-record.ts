import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { headerNames } from '../driver/transport-headers.ts'
import { describe } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'

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

/** The headers of a copy that comes back for another attempt. */
export function retryHeaders(
  { delivery }: DeliveryInHand,
  attempt: number,
  now: number,
): Record<string, string> {
  // Somebody handles it, so the clock for `unhandledAfter` starts again.
  const { [headerNames.unhandledFor]: _, ...headers } = delivery.headers
  return {
    ...headers,
    [headerNames.firstFailedAt]: delivery.headers[headerNames.firstFailedAt] ?? new Date(now).toISOString(),
    [headerNames.attempt]: String(attempt),
  }
}

/** The headers of a dead letter: those the message came with, plus reason, origin, time and attempts. */
export function deadLetterHeaders(
  { delivery, topic, group, attempt, deliveries }: DeliveryInHand,
  reason: string,
  error: Error | undefined,
  now: number,
): Record<string, string> {
  const failedAt = new Date(now).toISOString()
  const headers: Record<string, string> = {
    ...delivery.headers,
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
