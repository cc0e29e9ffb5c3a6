import {
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  trace,
} from '@opentelemetry/api'
import type {
  BatchInvocation,
  BatchMiddleware,
  Bus,
  DeliveryInfo,
  HandlerContext,
  HandlerMiddleware,
  IncomingTrace,
  Message,
  Propagation,
  SendContext,
  SendMiddleware,
} from '@waybill/core'
import { MessagingError } from '@waybill/core'
import { errorType, type Recorder } from '@waybill/figures'
import { type Attempt, attemptIn, linksOf, withAttempt } from './attempt.ts'
import { attributeNames, attributesOf } from './names.ts'
import { end, type Spans } from './spans.ts'
import { readTraceContext, writeTraceContext } from './trace-context.ts'

interface TelemetrySettings {
  readonly system: string
  readonly joined: boolean
  /** Undefined: no spans. */
  readonly spans: Spans | undefined
  /** Undefined: no metrics. */
  readonly recorder: Recorder | undefined
}

type Failure = { readonly error: unknown }

/** What follows the messages of one bus, out and in. */
export class Telemetry {
  readonly #settings: TelemetrySettings
  /** Of the messages in hand. */
  readonly #attempts = new WeakMap<Message, Attempt>()

  constructor(settings: TelemetrySettings) {
    this.#settings = settings
  }

  install(bus: Bus): void {
    const { send, handle, handleBatch, propagation } = this
    bus.use({ send, handle, handleBatch, ...(this.#settings.spans !== undefined && { propagation }) })
    bus
      .on('received', (info) => this.#received(info))
      .on('handled', (info) => this.#settled('ack', info))
      .on('skipped', (info) => this.#settled('ack', info))
      .on('dropped', (info) => this.#settled('ack', info))
      .on('retried', (info) => this.#settled('retry', info))
      .on('postponed', (info) => this.#settled('retry', info))
      .on('deadLettered', (info) => this.#settled('dead-letter', info, info.reason))
      .on('lost', (info) => this.#lost(info))
  }

  readonly propagation: Propagation<Context> = {
    inject: () => writeTraceContext(trace.getSpanContext(context.active())),
    extract: (incoming) => (this.#settings.spans?.isOn ? extract(incoming) : ROOT_CONTEXT),
    run: (active, run) => context.with(active, run),
    failedIn: () =>
      writeTraceContext(attemptIn(context.active())?.processing?.span.spanContext())?.traceparent,
  }

  readonly send: SendMiddleware = async (sending, next) => {
    if (!this.#isOn) return next()
    const { recorder, system } = this.#settings
    const topic = sending.definition.topic.name
    const startedAt = performance.now()
    const [span, active] = this.#startSend(sending, topic)
    let failure: Failure | undefined
    try {
      await context.with(active, next)
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      recorder?.sent(topic, since(startedAt), typeOf(failure))
      if (sending.message !== undefined) span?.setAttributes(attributesOf(system, sending.message))
      end(span, failure)
    }
  }

  readonly handle: HandlerMiddleware = async (delivery, next) => {
    if (!this.#isOn) return next()
    const { mode, topic, group, message } = delivery
    const attempt = attemptIn(context.active()) ?? attemptOf(delivery)
    this.#attempts.set(message, attempt)
    if (mode === 'batch') return next()
    // A pulled message is processed from when its loop gets it.
    if (mode === 'single') this.#begin(attempt, delivery, [])
    const span = attempt.processing?.span
    let failure: Failure | undefined
    try {
      await (span === undefined ? next() : context.with(trace.setSpan(context.active(), span), next))
    } catch (error) {
      if (!(MessagingError.is(error) && error.code === 'skip')) failure = { error }
      throw error
    } finally {
      this.#finish(attempt, topic, group, failure)
    }
  }

  readonly handleBatch: BatchMiddleware = async (batch, next) => {
    if (!this.#isOn) return next()
    const { messages, topic, group } = batch
    const attempts = messages.flatMap((message) => this.#attempts.get(message) ?? [])
    const startedAt = performance.now()
    const span = this.#startBatch(batch)
    this.#settings.recorder?.consumed(topic, group, messages.length)
    if (span !== undefined) for (const attempt of attempts) attempt.processing = { span, startedAt }
    let failure: Failure | undefined
    try {
      await (span === undefined ? next() : context.with(trace.setSpan(ROOT_CONTEXT, span), next))
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      this.#settings.recorder?.processed(topic, group, since(startedAt), typeOf(failure))
      end(span, failure)
      for (const attempt of attempts) this.#startSettling(attempt, topic, group)
    }
  }

  get #isOn(): boolean {
    const { spans, recorder } = this.#settings
    return recorder !== undefined || spans?.isOn === true
  }

  #startSend({ options, cause }: SendContext, topic: string): readonly [Span | undefined, Context] {
    const active = context.active()
    const created = readTraceContext(options)
    const links: Link[] = created === undefined ? [] : [{ context: created }]
    // The body of a pull loop runs in the async context around the loop.
    const pulled = cause && this.#attempts.get(cause)?.processing?.span
    const isOutside = pulled !== undefined && attemptIn(active) === undefined
    const hasParent = trace.getSpan(active) !== undefined
    if (isOutside && hasParent) links.push({ context: pulled.spanContext() })
    const parent = isOutside && !hasParent ? trace.setSpan(active, pulled) : active
    const kind = created === undefined ? SpanKind.PRODUCER : SpanKind.CLIENT
    const span = this.#settings.spans?.start('send', topic, undefined, { kind, parent, links })
    return [span, span === undefined ? active : trace.setSpan(parent, span)]
  }

  /** A message reaches its handler, or its loop. */
  #begin(
    attempt: Attempt,
    delivery: Pick<HandlerContext, 'topic' | 'group' | 'message'>,
    links: Link[],
  ): void {
    const { spans, recorder, joined, system } = this.#settings
    const { topic, group, message } = delivery
    recorder?.consumed(topic, group)
    const { creation } = attempt
    const parent =
      joined && creation !== undefined ? trace.setSpanContext(ROOT_CONTEXT, creation) : ROOT_CONTEXT
    const span = spans?.start('process', topic, group, {
      kind: SpanKind.CONSUMER,
      parent: joined ? withAttempt(parent, attempt) : parent,
      links: [...linksOf(attempt), ...links],
      attributes: { ...attributesOf(system, message), [attributeNames.attempt]: attempt.number },
    })
    const startedAt = performance.now()
    if (span !== undefined) attempt.processing = { span, startedAt }
    else attempt.processing = { span: trace.wrapSpanContext(INVALID_SPAN_CONTEXT), startedAt }
  }

  #startBatch({ messages, topic, group }: BatchInvocation): Span | undefined {
    const { spans, system } = this.#settings
    const links = messages.flatMap((message) => {
      const attempt = this.#attempts.get(message)
      const attributes = attributesOf(system, message)
      return attempt === undefined ? [] : linksOf(attempt).map((link) => ({ ...link, attributes }))
    })
    return spans?.start('process', topic, group, {
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
    this.#startSettling(attempt, topic, group)
  }

  #startSettling(attempt: Attempt, topic: string, group: string): void {
    const { processing, creation } = attempt
    const parent = processing && trace.setSpan(ROOT_CONTEXT, processing.span)
    const span =
      parent &&
      this.#settings.spans?.start('settle', topic, group, {
        kind: SpanKind.CLIENT,
        parent,
        links: creation === undefined ? [] : [{ context: creation }],
      })
    attempt.settling = { span, startedAt: performance.now() }
  }

  #received({ topic, group, attempt: number, message }: DeliveryInfo): void {
    if (!this.#isOn || message === undefined) return
    const attempt = this.#attempts.get(message) ?? { number, creation: undefined, failedIn: undefined }
    this.#attempts.set(message, attempt)
    const { system, spans } = this.#settings
    const around = trace.getSpanContext(context.active())
    const receiving = spans?.start('receive', topic, group, {
      kind: SpanKind.CLIENT,
      parent: context.active(),
      links: linksOf(attempt),
      attributes: attributesOf(system, message),
    })
    end(receiving)
    this.#begin(attempt, { topic, group, message }, around === undefined ? [] : [{ context: around }])
  }

  /** The verdict is durable, or on an ordered topic the next attempt is certain. */
  #settled(operation: string, { topic, group, message }: DeliveryInfo, reason?: string): void {
    const attempt = message === undefined ? this.#unread(topic, group) : this.#attempts.get(message)
    if (attempt !== undefined) this.#endSettling(attempt, operation, topic, group, reason)
  }

  /** What could not be read had no handler. */
  #unread(topic: string, group: string): Attempt | undefined {
    const attempt = attemptIn(context.active())
    if (attempt === undefined) return undefined
    const span = this.#settings.spans?.start('settle', topic, group, {
      kind: SpanKind.CLIENT,
      parent: this.#settings.joined ? context.active() : ROOT_CONTEXT,
      links: linksOf(attempt),
    })
    attempt.settling = { span, startedAt: performance.now() }
    return attempt
  }

  #endSettling(
    attempt: Attempt,
    operation: string,
    topic: string,
    group: string,
    reason: string | undefined,
  ): void {
    const { settling } = attempt
    if (settling === undefined) return
    delete attempt.settling
    this.#settings.recorder?.operated(operation, topic, group, since(settling.startedAt), undefined)
    const { span } = settling
    if (span === undefined) return
    span.updateName(`${operation} ${topic}`).setAttribute(attributeNames.operation, operation)
    if (reason !== undefined) span.setAttribute(attributeNames.reason, reason)
    end(span)
  }

  #lost({ message }: DeliveryInfo): void {
    const attempt = message && this.#attempts.get(message)
    if (attempt?.settling === undefined) return
    end(attempt.settling.span, { error: new MessagingError('stale', 'The delivery was lost') })
    delete attempt.settling
  }
}

function extract(incoming: IncomingTrace): Context {
  const creation = readTraceContext(incoming)
  const failedIn = readTraceContext({ traceparent: incoming.failedIn })
  const within = creation === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, creation)
  return withAttempt(within, { number: incoming.attempt, creation, failedIn })
}

/** Without a context manager nothing comes from `extract`. */
function attemptOf({ attempt, message: { metadata } }: HandlerContext): Attempt {
  return { number: attempt, creation: readTraceContext(metadata), failedIn: undefined }
}

function typeOf(failure: Failure | undefined): string | undefined {
  return failure && errorType(failure.error)
}

function since(startedAt: number): number {
  return (performance.now() - startedAt) / 1000
}
