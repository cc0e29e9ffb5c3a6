import { type Context, context, type Link, type Span, SpanKind, trace } from '@opentelemetry/api'
import type { SendContext, SendMiddleware } from '@waybill/core'
import { attemptIn } from './attempt.ts'
import { type Failure, since, typeOf } from './failure.ts'
import { attributesOf } from './names.ts'
import { end } from './spans.ts'
import type { TelemetrySettings } from './telemetry-settings.ts'
import { readTraceContext } from './trace-context.ts'

/** Follows what is sent. */
export class Sending {
  readonly #settings: TelemetrySettings

  constructor(settings: TelemetrySettings) {
    this.#settings = settings
  }

  readonly send: SendMiddleware = async (sending, next) => {
    const { recorder, system } = this.#settings
    const topic = sending.definition.topic.name
    const startedAt = performance.now()
    const [span, active] = this.#start(sending, topic)
    let failure: Failure | undefined
    try {
      await (span === undefined ? next() : context.with(active, next))
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      recorder?.sent(topic, since(startedAt), typeOf(failure))
      if (sending.message !== undefined) span?.setAttributes(attributesOf(system, sending.message))
      end(span, failure)
    }
  }

  #start({ options, cause }: SendContext, topic: string): readonly [Span | undefined, Context] {
    const { spans, attempts } = this.#settings
    const active = context.active()
    if (spans === undefined) return [undefined, active]
    const created = readTraceContext(options)
    const links: Link[] = created === undefined ? [] : [{ context: created }]
    // The body of a pull loop runs in the async context around the loop.
    const pulled = cause && attempts.get(cause)?.processing?.span
    const isOutside = pulled !== undefined && attemptIn(active) === undefined
    const hasParent = trace.getSpan(active) !== undefined
    if (isOutside && hasParent) links.push({ context: pulled.spanContext() })
    const parent = isOutside && !hasParent ? trace.setSpan(active, pulled) : active
    const kind = created === undefined ? SpanKind.PRODUCER : SpanKind.CLIENT
    const span = spans.start('send', topic, undefined, { kind, parent, links })
    return [span, trace.setSpan(parent, span)]
  }
}
