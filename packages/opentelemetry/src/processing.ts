import {
  type Context,
  context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  trace,
} from '@opentelemetry/api'
import type {
  BatchInvocation,
  BatchMiddleware,
  DeliveryInfo,
  HandlerContext,
  HandlerMiddleware,
} from '@waybill/core'
import { MessagingError } from '@waybill/core'
import { type Attempt, attemptIn, linksOf, withAttempt } from './attempt.ts'
import { type Failure, since, typeOf } from './failure.ts'
import { attributeNames, attributesOf } from './names.ts'
import { end } from './spans.ts'
import type { TelemetrySettings } from './telemetry-settings.ts'
import { readTraceContext } from './trace-context.ts'

type Processed = Pick<HandlerContext, 'topic' | 'group' | 'message'>

/** Follows what is handled: by handlers of single messages and of batches, and in pull loops. */
export class Processing {
  readonly #settings: TelemetrySettings

  constructor(settings: TelemetrySettings) {
    this.#settings = settings
  }

  readonly handle: HandlerMiddleware = async (delivery, next) => {
    const { mode, topic, group, message } = delivery
    const active = context.active()
    const attempt = attemptIn(active) ?? attemptOf(delivery)
    this.#settings.attempts.set(message, attempt)
    if (mode === 'batch') return next()
    // A pulled message is processed from when its loop gets it.
    if (mode === 'single') this.#begin(attempt, delivery, linksOf(attempt))
    const span = attempt.processing?.span
    let failure: Failure | undefined
    try {
      await (span === undefined ? next() : context.with(trace.setSpan(active, span), next))
    } catch (error) {
      if (!(MessagingError.is(error) && error.code === 'skip')) failure = { error }
      throw error
    } finally {
      this.#finish(attempt, topic, group, failure)
    }
  }

  readonly handleBatch: BatchMiddleware = async (batch, next) => {
    const { messages, topic, group } = batch
    const { attempts: all, recorder } = this.#settings
    const attempts = messages.flatMap((message) => all.get(message) ?? [])
    const startedAt = performance.now()
    const span = this.#startBatch(batch)
    recorder?.consumed(topic, group, messages.length)
    for (const attempt of attempts) attempt.processing = { span, startedAt }
    let failure: Failure | undefined
    try {
      await (span === undefined ? next() : context.with(trace.setSpan(ROOT_CONTEXT, span), next))
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      recorder?.processed(topic, group, since(startedAt), typeOf(failure))
      end(span, failure)
      for (const attempt of attempts) attempt.settlingSince = performance.now()
    }
  }

  /** A pull loop has its message. */
  received({ topic, group, attempt: number, message }: DeliveryInfo): void {
    if (message === undefined) return
    const { system, spans, attempts } = this.#settings
    const attempt = attempts.get(message) ?? { number, creation: undefined, failedIn: undefined }
    attempts.set(message, attempt)
    const active = context.active()
    const receiving = spans?.start('receive', topic, group, {
      kind: SpanKind.CLIENT,
      parent: active,
      links: linksOf(attempt),
      attributes: attributesOf(system, message),
    })
    end(receiving)
    const links = linksOf(attempt)
    const around = trace.getSpanContext(active)
    if (around !== undefined) links.push({ context: around })
    this.#begin(attempt, { topic, group, message }, links)
  }

  /** A message reaches its handler, or its loop. */
  #begin(attempt: Attempt, { topic, group, message }: Processed, links: Link[]): void {
    const { spans, recorder, joined, system } = this.#settings
    recorder?.consumed(topic, group)
    const span = spans?.start('process', topic, group, {
      kind: SpanKind.CONSUMER,
      parent: joined ? parentOf(attempt) : ROOT_CONTEXT,
      links,
      attributes: { ...attributesOf(system, message), [attributeNames.attempt]: attempt.number },
    })
    attempt.processing = { span, startedAt: performance.now() }
  }

  #startBatch({ messages, topic, group }: BatchInvocation): Span | undefined {
    const { spans, system, attempts } = this.#settings
    if (spans === undefined) return undefined
    const links = messages.flatMap((message) => {
      const attempt = attempts.get(message)
      const attributes = attributesOf(system, message)
      return attempt === undefined ? [] : linksOf(attempt).map((link) => ({ ...link, attributes }))
    })
    return spans.start('process', topic, group, {
      kind: SpanKind.CONSUMER,
      parent: ROOT_CONTEXT,
      links,
      attributes: { [attributeNames.batchSize]: messages.length },
    })
  }

  #finish(attempt: Attempt, topic: string, group: string, failure: Failure | undefined): void {
    const { processing } = attempt
    if (processing === undefined) return
    this.#settings.recorder?.processed(topic, group, since(processing.startedAt), typeOf(failure))
    end(processing.span, failure)
    attempt.settlingSince = performance.now()
  }
}

/** The context of the send: it is there already, unless somebody has a span around the handler. */
function parentOf(attempt: Attempt): Context {
  const active = context.active()
  const isThere = attemptIn(active) === attempt && trace.getSpanContext(active) === attempt.creation
  return isThere ? active : contextOf(attempt)
}

/** As `extract` makes it. */
export function contextOf(attempt: Attempt): Context {
  const { creation } = attempt
  const within = creation === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, creation)
  return withAttempt(within, attempt)
}

/** Without a context manager nothing comes from `extract`. */
function attemptOf({ attempt, message: { metadata } }: HandlerContext): Attempt {
  return { number: attempt, creation: readTraceContext(metadata), failedIn: undefined }
}
