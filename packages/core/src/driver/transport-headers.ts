/**
 * Waybill's own transport headers. They change on a message's way, so they are not CloudEvents attributes. Users' names may
 * not start with `waybill-`.
 *
 * @example
 * const reason = headers[headerNames.reason] // 'attempts-exhausted'
 */
export const headerNames = {
  /** Decimal; absent on the first attempt. */
  attempt: 'waybill-attempt',
  /** 0 to 9, so that retried and replayed copies keep their place. */
  priority: 'waybill-priority',
  /** RFC 3339. */
  firstFailedAt: 'waybill-first-failed-at',
  failedAt: 'waybill-failed-at',
  /** Decimal: for how many milliseconds a message has been left to others, since nobody it met handles its type. */
  unhandledFor: 'waybill-unhandled-for',
  /** The inbox of a requester, who waits for the reply, and the id by which it knows the request. */
  replyTo: 'waybill-reply-to',
  deadLetterId: 'waybill-dead-letter-id',
  reason: 'waybill-reason',
  errorName: 'waybill-error-name',
  errorMessage: 'waybill-error-message',
  errorStack: 'waybill-error-stack',
  /** A W3C traceparent: the span in which it failed last, for its retry and its replay to refer to. */
  failedIn: 'waybill-failed-in',
  originTopic: 'waybill-topic',
  originGroup: 'waybill-group',
  deliveries: 'waybill-deliveries',
  /** Decimal: how many handler calls the sender asked for. */
  attempts: 'waybill-attempts',
  /** What was done to the body, and its content type before that. */
  stages: 'waybill-stages',
  contentType: 'waybill-content-type',
  /** What the transport said about a message that did not say it itself, so that copies of it keep it. */
  id: 'waybill-id',
  time: 'waybill-time',
  subject: 'waybill-subject',
  /** The brokers that bridges brought the message from. */
  bridged: 'waybill-bridged',
} as const

const prefix = 'waybill-'

/** What stays with a message for as long as it lives. */
const lasting: ReadonlySet<string> = new Set([
  headerNames.priority,
  headerNames.attempts,
  headerNames.stages,
  headerNames.contentType,
  headerNames.id,
  headerNames.time,
  headerNames.subject,
  headerNames.failedIn,
  headerNames.bridged,
])

/**
 * Makes a function that prefixes names, such as CloudEvents attributes for a broker's binding. It remembers the results:
 * every message has the same dozen names, and a freshly joined string is copied whenever it is written.
 *
 * @example
 * const nameOf = prefixing('ce-')
 * nameOf('type') // 'ce-type'
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

/**
 * The attempt that a message's headers name; 1 if they name none, or not a number above 1.
 *
 * @example
 * attemptOf({ 'waybill-attempt': '3' }) // 3
 * attemptOf({}) // 1
 */
export function attemptOf(headers: Readonly<Record<string, string>>): number {
  const attempt = Number(headers[headerNames.attempt])
  return Number.isSafeInteger(attempt) && attempt > 1 ? attempt : 1
}

/** How many handler calls the sender asked for; undefined when it did not, or not for a number from 1 to 10,000. */
export function attemptsAskedFor(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers[headerNames.attempts]
  if (text === undefined) return undefined
  const attempts = Number(text)
  return Number.isSafeInteger(attempts) && attempts >= 1 && attempts <= 10_000 ? attempts : undefined
}

/**
 * The id of a dead letter, which core puts into its headers.
 *
 * @example
 * const id = deadLetterIdOf(headers) ?? String(record.offset) // moved there by the broker itself
 */
export function deadLetterIdOf(headers: Readonly<Record<string, string>>): string | undefined {
  return headers[headerNames.deadLetterId]
}

/**
 * The headers of a replayed dead letter: as before it failed, so without attempts and failure record.
 *
 * @example
 * await publish(groupQueue, { body: letter.body, headers: replayHeaders(letter.headers) })
 */
export function replayHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith(prefix) || lasting.has(name)),
  )
}
