import { type Context, createContextKey, type Link, type Span, type SpanContext } from '@opentelemetry/api'

/** One attempt to handle a message, as far as telemetry follows it. */
export interface Attempt {
  readonly number: number
  /** Of the span that sent the message. */
  readonly creation: SpanContext | undefined
  /** Of the attempt before, or of the one that ended in the dead letters. */
  readonly failedIn: SpanContext | undefined
  /** What it is handled in, once that has begun. */
  processing?: Running
  /** When its handling ended, until its verdict is durable: by `performance.now()`. */
  settlingSince?: number
}

export interface Running {
  /** Undefined: only measured. */
  readonly span: Span | undefined
  /** By `performance.now()`. */
  readonly startedAt: number
}

const key = createContextKey('waybill.attempt')

export function withAttempt(context: Context, attempt: Attempt): Context {
  return context.setValue(key, attempt)
}

export function attemptIn(context: Context): Attempt | undefined {
  const value: unknown = context.getValue(key)
  return isAttempt(value) ? value : undefined
}

function isAttempt(value: unknown): value is Attempt {
  return typeof value === 'object' && value !== null && 'number' in value
}

/** To what it comes from: the send, and the attempt that failed before it. */
export function linksOf({ creation, failedIn }: Attempt): Link[] {
  const links: Link[] = []
  if (creation !== undefined) links.push({ context: creation })
  if (failedIn !== undefined) links.push({ context: failedIn })
  return links
}
