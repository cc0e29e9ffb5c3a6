import { headerNames } from '../driver/transport-headers.ts'
import { type Capabilities, messageBytes, type OutboundMessage } from '../driver.ts'
import { type Written, writeMessage } from '../encoding/body-writer.ts'
import type { Formats, SendingFormat } from '../encoding/formats.ts'
import type { Clock } from '../lib/clock.ts'
import { parseDuration, toMilliseconds } from '../lib/duration.ts'
import { InvalidMessageError, type Issue, MessagingError, toError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import { type MessageDefinition, type Validated, validateData } from '../messages/definition.ts'
import { unwritable } from '../messages/json-data.ts'
import type { Message, Metadata, Writable } from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import type { TraceContext } from '../messages/trace-context.ts'
import { requireFeature } from '../topology/features.ts'
import type { SendLimits } from './accepted-sends.ts'
import {
  checkSendOptions,
  noOptions,
  type SendOptions,
  storedTimesOf,
  transportHeadersOf,
  under,
} from './send-options.ts'

/** What is the same for all messages of a producer. */
export interface Sender {
  readonly formats: Formats
  readonly driver: { readonly name: string; readonly capabilities: Capabilities }
  readonly source: string
  readonly timeoutMs: number
}

/** The moment `send` was called: durations of the options count from it. */
export interface SendStart extends SendLimits {
  readonly now: number
  readonly monotonicNow: number
  /** The message being handled. */
  readonly cause: Message | undefined
  readonly trace: TraceContext | undefined
}

/** A message that is checked, and not encoded yet. */
export interface Draft<Output = unknown> {
  readonly definition: MessageDefinition<unknown, Output>
  readonly message: Message<Output>
  /** As it was given. */
  readonly data: unknown
  readonly delayMs: number
  readonly options: SendOptions
  readonly start: SendStart
  readonly format: SendingFormat
  /** Of Waybill's own. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

/** A message that is ready for the driver. */
export interface Prepared<Output = unknown> extends SendLimits {
  readonly topic: Topic
  readonly message: Message<Output>
  readonly outbound: OutboundMessage
  readonly bytes: number
  /** When it falls due, by the clock's monotonic reading, if it is delayed. */
  readonly dueAt: number | undefined
  readonly onHandedOver: (() => void) | undefined
}

export function startSend(
  { timeoutMs }: Sender,
  clock: Clock,
  cause: Message | undefined,
  trace: TraceContext | undefined,
  options: SendOptions | undefined | null,
): SendStart {
  const monotonicNow = clock.monotonic()
  return {
    now: clock.now(),
    monotonicNow,
    cause,
    trace,
    // Invalid options are reported when they are checked.
    deadline: monotonicNow + (parseDuration(options?.timeout) ?? timeoutMs),
    signal: options?.signal instanceof AbortSignal ? options.signal : undefined,
  }
}

/** Data against its schema. What a schema throws is a problem of the data: it may be one that made it throw. */
export function checkData<Output>(
  { schema }: MessageDefinition<unknown, Output>,
  data: unknown,
): Validated<Output> | Promise<Validated<Output>> {
  const thrown = (error: unknown) => ({
    issues: [{ path: '', message: `the schema threw: ${toError(error).message}` }],
  })
  try {
    const checked = validateData(schema, data)
    return checked instanceof Promise ? checked.catch(thrown) : checked
  } catch (error) {
    return thrown(error)
  }
}

/**
 * A message from data that was checked. The data travels as it was given: each consumer's schema parses it anew.
 *
 * @throws {InvalidMessageError} listing every problem.
 * @throws {MessagingError} `unsupported`
 */
export function draftMessage<Output>(
  sender: Sender,
  definition: MessageDefinition<unknown, Output>,
  data: unknown,
  checked: Validated<Output>,
  options: SendOptions,
  start: SendStart,
): Draft<Output> {
  const { topic, type } = definition
  const { driver, formats } = sender
  if (topic.ordered) requireFeature(driver, 'ordered', `ordered topic "${topic.name}"`)
  const issues = options === noOptions ? [] : checkSendOptions(options)
  // What is no object has no fields to read below.
  if (typeof options !== 'object' || options === null)
    throw new InvalidMessageError(`message ${type}`, issues)
  if ('issues' in checked) {
    throw new InvalidMessageError(`message ${type}`, [...issues, ...under('data', checked.issues)])
  }
  const key = keyOf(definition, checked.value, options, issues)
  formats.learn(definition)
  const format = formats.forSending(definition)
  if (format.codec?.carriesAnyData !== true) issues.push(...under('data', dataIssues(data)))
  if (issues.length > 0) throw new InvalidMessageError(`message ${type}`, issues)
  if (options.priority !== undefined) requireFeature(driver, 'priority', 'send with a priority')
  const delayMs = delayOf(driver, options)
  const times = options === noOptions ? undefined : storedTimesOf(options)
  const message: Writable<Message<Output>> = {
    id: options.id ?? newId(),
    type,
    version: definition.version,
    timestamp: times?.timestamp ?? new Date(start.now),
    data: checked.value,
    metadata: metadataOf(sender, start, options),
  }
  if (key !== undefined) message.key = key
  if (options.expiresIn !== undefined) {
    message.expiresAt = new Date(start.now + toMilliseconds(options.expiresIn))
  }
  if (times?.expiresAt !== undefined) message.expiresAt = times.expiresAt
  return { definition, message, data, delayMs, options, start, format, headers: transportHeadersOf(options) }
}

/**
 * The message as it will travel. Synchronous when its codec and stages are.
 *
 * @throws {InvalidMessageError} when the codec cannot encode it.
 * @throws {MessagingError} `too-large`, and what codec and stages throw.
 */
export function encodeDraft<Output>(
  sender: Sender,
  draft: Draft<Output>,
): Prepared<Output> | Promise<Prepared<Output>> {
  const { definition, message, data, format } = draft
  const written = writeMessage(definition, format, message, data)
  return written instanceof Promise
    ? written.then((whole) => toPrepared(sender, draft, whole))
    : toPrepared(sender, draft, written)
}

function toPrepared<Output>(
  { driver }: Sender,
  { definition: { topic }, message, delayMs, options, start, headers }: Draft<Output>,
  written: Written,
): Prepared<Output> {
  const whole = headers === undefined ? written : { ...written, headers: { ...written.headers, ...headers } }
  const outbound = outboundOf(topic, message, whole, delayMs, options)
  return {
    topic,
    message,
    outbound,
    bytes: measure(outbound, driver.capabilities.maxMessageBytes),
    dueAt: delayMs === 0 ? undefined : start.monotonicNow + delayMs,
    deadline: start.deadline,
    signal: start.signal,
    onHandedOver: options === noOptions ? undefined : storedTimesOf(options)?.onHandedOver,
  }
}

/** What of the data cannot travel. Data that is bytes, or none, is not written as JSON. */
function dataIssues(data: unknown): Issue[] {
  if (data === undefined || data instanceof Uint8Array) return []
  try {
    return unwritable(data)
  } catch (error) {
    return [{ path: '', message: `cannot be written as JSON: ${toError(error).message}` }]
  }
}

/** The ordering key; what is wrong with it is added to the issues. */
function keyOf<Output>(
  definition: MessageDefinition<unknown, Output>,
  value: Output,
  options: SendOptions,
  issues: Issue[],
): string | undefined {
  const { topic } = definition
  const problem = (message: string) => {
    issues.push({ path: 'key', message })
    return undefined
  }
  try {
    // What is wrong with it is known from the options.
    if (options.key !== undefined) return options.key
    const key: unknown = definition.key?.(value)
    if (key === undefined && !topic.ordered) return undefined
    if (key === undefined) {
      const why = `topic "${topic.name}" is ordered and needs a key`
      return problem(`${why}: give defineMessage a key function, or send a key option`)
    }
    if (typeof key === 'string' && key.length >= 1 && key.length <= 1024 && key.isWellFormed()) return key
    return problem(
      'the key function made something else than text of 1 to 1024 characters without lone surrogates',
    )
  } catch (error) {
    return problem(`the key function threw: ${toError(error).message}`)
  }
}

function delayOf(driver: Sender['driver'], { delay }: SendOptions): number {
  if (delay === undefined) return 0
  requireFeature(driver, 'delay', 'send with a delay')
  const delayMs = toMilliseconds(delay)
  const { maxDelayMs } = driver.capabilities
  if (delayMs <= maxDelayMs) return delayMs
  const what = `A delay of ${delayMs} ms is longer than the ${driver.name} driver can hold a message`
  const next = `delay it by ${maxDelayMs} ms at most, or send it later from your own scheduler`
  throw new MessagingError('unsupported', `${what}; ${next}. Nothing was sent`, { fate: 'not-sent' })
}

function metadataOf({ source }: Sender, { cause, trace }: SendStart, options: SendOptions): Metadata {
  // The usual case, without the copying below.
  if (cause === undefined && trace === undefined && options === noOptions) return { source }
  const correlationId = options.correlationId ?? cause?.metadata.correlationId ?? cause?.id
  const causationId = options.causationId ?? cause?.id
  // A tracestate belongs to its traceparent: one that was given brings its own, or none.
  const { traceparent, tracestate } = options.traceparent === undefined ? (trace ?? {}) : options
  return {
    ...(typeof traceparent === 'string' && { traceparent }),
    ...(typeof tracestate === 'string' && { tracestate }),
    ...options.metadata,
    source,
    ...(correlationId !== undefined && { correlationId }),
    ...(causationId !== undefined && { causationId }),
  }
}

function outboundOf(
  topic: Topic,
  message: Message,
  { body, contentType, attributes, headers }: Written,
  delayMs: number,
  { priority, attempts }: SendOptions,
): OutboundMessage {
  return {
    topic,
    type: message.type,
    id: message.id,
    key: message.key,
    body,
    contentType,
    attributes,
    headers:
      priority === undefined && attempts === undefined
        ? headers
        : {
            ...headers,
            ...(priority !== undefined && { [headerNames.priority]: String(priority) }),
            ...(attempts !== undefined && { [headerNames.attempts]: String(attempts) }),
          },
    delayMs,
    priority,
    expiresAt: message.expiresAt?.getTime(),
  }
}

function measure(outbound: OutboundMessage, maxMessageBytes: number): number {
  const bytes = messageBytes(outbound)
  if (bytes <= maxMessageBytes) return bytes
  const what = `Message ${outbound.type} ${outbound.id} has ${bytes} bytes with its headers, but the broker takes at most ${maxMessageBytes}`
  const next = 'add claimCheck({ store }) to the stages, or send a reference to the data'
  throw new MessagingError('too-large', `${what}; ${next}. Nothing was sent`, { fate: 'not-sent' })
}
