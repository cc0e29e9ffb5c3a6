/**
 * The transport headers of our own. They change on a message's way, so they are no CloudEvents attributes. Users' names
 * may not start with `waybill-`.
 */
export const headerNames = {
  /** Decimal; absent on the first attempt. */
  attempt: 'waybill-attempt',
  /** 0 to 9, so that retried and replayed copies keep their place. */
  priority: 'waybill-priority',
  /** RFC 3339. */
  firstFailedAt: 'waybill-first-failed-at',
  failedAt: 'waybill-failed-at',
  /** RFC 3339: since when a message has met nobody that handles its type. */
  unhandledSince: 'waybill-unhandled-since',
  deadLetterId: 'waybill-dead-letter-id',
  reason: 'waybill-reason',
  errorName: 'waybill-error-name',
  errorMessage: 'waybill-error-message',
  errorStack: 'waybill-error-stack',
  originTopic: 'waybill-topic',
  originGroup: 'waybill-group',
  deliveries: 'waybill-deliveries',
} as const

const prefix = 'waybill-'

/**
 * Puts a prefix before names, such as that of a CloudEvents binding before attributes. It keeps the results, since every
 * message has the same dozen names, and one put together anew is copied anew whenever it is written.
 */
export function prefixing(text: string): (name: string) => string {
  const known = new Map<string, string>()
  return (name) => {
    let prefixed = known.get(name)
    if (prefixed === undefined) {
      prefixed = text + name
      if (known.size < 1000) known.set(name, prefixed)
    }
    return prefixed
  }
}

/** The attempt a message's headers tell; 1 when they tell none or nonsense. */
export function attemptOf(headers: Readonly<Record<string, string>>): number {
  const attempt = Number(headers[headerNames.attempt])
  return Number.isSafeInteger(attempt) && attempt > 1 ? attempt : 1
}

export function deadLetterIdOf(headers: Readonly<Record<string, string>>): string | undefined {
  return headers[headerNames.deadLetterId]
}

/** The headers of a replayed dead letter: as before it failed, so without attempts and failure record. */
export function replayHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(prefix) || name === headerNames.priority),
  )
}
