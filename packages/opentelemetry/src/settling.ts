import { context, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api'
import type { DeliveryInfo } from '@waybill/core'
import { MessagingError } from '@waybill/core'
import { type Attempt, attemptIn, linksOf } from './attempt.ts'
import { type Failure, since } from './failure.ts'
import { attributeNames } from './names.ts'
import { end } from './spans.ts'
import type { TelemetrySettings } from './telemetry-settings.ts'

/** Follows what becomes of a message once its handling has ended: nobody knows before what its settlement is. */
export class Settling {
  readonly #settings: TelemetrySettings

  constructor(settings: TelemetrySettings) {
    this.#settings = settings
  }

  /** The verdict is durable, or on an ordered topic the next attempt is certain. */
  settled(operation: string, info: DeliveryInfo, reason?: string): void {
    const { message, topic, group } = info
    const attempt = message === undefined ? unread() : this.#settings.attempts.get(message)
    const startedAt = attempt?.settlingSince
    if (attempt === undefined || startedAt === undefined) return
    delete attempt.settlingSince
    this.#settings.recorder?.operated(operation, topic, group, since(startedAt), undefined)
    this.#span(operation, info, attempt, startedAt, { reason })
  }

  lost(info: DeliveryInfo): void {
    const attempt = info.message && this.#settings.attempts.get(info.message)
    if (attempt?.settlingSince === undefined) return
    const { settlingSince } = attempt
    delete attempt.settlingSince
    const failure = { error: new MessagingError('stale', 'The delivery was lost') }
    this.#span('settle', info, attempt, settlingSince, { failure })
  }

  #span(
    operation: string,
    { topic, group }: DeliveryInfo,
    attempt: Attempt,
    startTime: number,
    { reason, failure }: { readonly reason?: string | undefined; readonly failure?: Failure },
  ): void {
    const { spans, joined } = this.#settings
    if (spans === undefined) return
    const { processing, creation } = attempt
    // What could not be read had no handler.
    const outside = joined ? context.active() : ROOT_CONTEXT
    const span = spans.start(operation, topic, group, {
      type: 'settle',
      kind: SpanKind.CLIENT,
      parent: processing?.span === undefined ? outside : trace.setSpan(ROOT_CONTEXT, processing.span),
      links:
        processing === undefined ? linksOf(attempt) : creation === undefined ? [] : [{ context: creation }],
      ...(reason !== undefined && { attributes: { [attributeNames.reason]: reason } }),
      startTime,
    })
    end(span, failure, performance.now())
  }
}

/** What cannot be read is settled within the context of its delivery. */
function unread(): Attempt | undefined {
  const attempt = attemptIn(context.active())
  if (attempt !== undefined) attempt.settlingSince = performance.now()
  return attempt
}
