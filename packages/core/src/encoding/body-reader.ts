import { headerNames } from '../driver/transport-headers.ts'
import type { Delivery } from '../driver.ts'
import { failingWith } from '../lib/and-then.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { newId } from '../lib/new-id.ts'
import {
  attributesIn,
  contentTypeIn,
  decodeDelivery,
  isStructured,
  othersIn,
  toMessage,
} from '../messages/cloud-events.ts'
import type { Codec, DecodedMessage, WireMessage } from '../messages/codec.ts'
import { readAttributes } from '../messages/envelope.ts'
import type { Message } from '../messages/message.ts'
import type { IncomingBody, Stage } from '../messages/stage.ts'
import { undecoded } from '../messages/undecoded-codec.ts'
import { toUndecoded, type UndecodedMessage } from '../messages/undecoded-message.ts'
import type { Formats } from './formats.ts'
import { type AppliedStage, appliedStages } from './stage-record.ts'

/** What of a delivery or a dead letter its message is read from. */
export type Readable = Pick<
  Delivery,
  'body' | 'contentType' | 'headers' | 'transportId' | 'subject' | 'timestamp'
> & {
  readonly key?: string | undefined
}

// SNS in SQS, an S3 event in EventBridge in SQS: deeper than any service wraps.
const maxWrappers = 8

/** Reads the messages that one group receives on one topic. */
export class BodyReader {
  readonly #formats: Formats
  readonly #topic: string
  readonly #group: string

  constructor(formats: Formats, topic: string, group: string) {
    this.#formats = formats
    this.#topic = topic
    this.#group = group
  }

  /**
   * The message; synchronously when it went through no stage and is an event, or no codec is configured. `receivedAt` stands in
   * for the time of those that have none.
   *
   * @throws {MessagingError} `undecodable`; retryable ones when the message may be read later.
   */
  read(source: Readable, receivedAt: number): Message | Promise<Message> {
    const { headers, timestamp = receivedAt, key } = source
    const { codecs } = this.#formats.of(this.#topic)
    if (codecs.includes(undecoded)) return asItTravels(source, this.#topic, timestamp)
    const isStaged = headers[headerNames.stages] !== undefined
    const contentType = source.contentType ?? contentTypeIn(headers)
    if (!isStaged && (isStructured(contentType) || codecs.length === 0)) {
      return toMessage(decodeDelivery(source), timestamp, key)
    }
    return this.#read(source, contentType, timestamp)
  }

  /** Tells the stages that the group is done with the message. Rejects when one of them fails. */
  async done({ headers }: Pick<Delivery, 'headers'>): Promise<void> {
    if (this.#formats.of(this.#topic).codecs.includes(undecoded)) return
    const about = this.#about(headers)
    for (const { name, note } of appliedStages(headers)) {
      for (const stage of this.#stagesOf(name)) await stage.done?.(note, about)
    }
  }

  async #read(source: Readable, contentType: string | undefined, timestamp: number): Promise<Message> {
    const { headers, key } = source
    const subject = headers[headerNames.subject] ?? source.subject
    const applied = stagesIn(headers)
    const wire: WireMessage = {
      body: await this.#undo(applied, source.body, this.#about(headers)),
      contentType: applied.length === 0 ? contentType : (headers[headerNames.contentType] ?? contentType),
      headers,
      topic: this.#topic,
      key,
      subject,
    }
    return this.#decode(wire, {}, { topic: this.#topic, id: source.transportId, timestamp }, 0)
  }

  #about(headers: Headers): IncomingBody {
    return {
      topic: this.#topic,
      group: this.#group,
      attributes: attributesIn(headers),
      contentType: headers[headerNames.contentType],
    }
  }

  #stagesOf(name: string): readonly Stage[] {
    return this.#formats.of(this.#topic).stages.filter((stage) => stage.name === name)
  }

  async #undo(applied: readonly AppliedStage[], body: Uint8Array, about: IncomingBody): Promise<Uint8Array> {
    let current = body
    for (const stage of applied.toReversed()) current = await this.#undoOne(stage, current, about)
    return current
  }

  async #undoOne({ name, note }: AppliedStage, body: Uint8Array, about: IncomingBody): Promise<Uint8Array> {
    const stages = this.#stagesOf(name)
    for (const stage of stages) {
      const undone = await failingWith(
        (error) => unreadable(`The stage "${name}" cannot be undone`, error),
        () => stage.undo(body, note, about),
      )
      if (undone !== undefined) return undone
    }
    const why =
      stages.length === 0
        ? 'it is not configured here; add it to the stages of the bus, the topic or the definition'
        : `none that is configured here knows "${note}"`
    throw new MessagingError('undecodable', `The body went through the stage "${name}", and ${why}`)
  }

  /** Asks the codecs in turn; `around` is what wrappers said that have been taken off. */
  async #decode(
    wire: WireMessage,
    around: Omit<DecodedMessage, 'data'>,
    transport: Transport,
    wrappers: number,
  ): Promise<Message> {
    const asEvent = () => toMessage(decodeDelivery(wire), transport.timestamp, wire.key)
    if (isStructured(wire.contentType)) return asEvent()
    const { codecs } = this.#formats.of(this.#topic)
    for (const codec of codecs) {
      const failed = (error: unknown) => unreadable(`The codec ${codec.name} cannot read the body`, error)
      const decoded = await failingWith(failed, () => codec.decode(wire))
      if (decoded === undefined || decoded === null) continue
      if (!('inside' in decoded)) return complete(codec, overlaid(around, decoded), wire, transport)
      if (wrappers === maxWrappers) throw unreadable(`The body is wrapped more than ${maxWrappers} times`)
      const { inside, ...outer } = decoded
      return this.#decode({ ...wire, ...inside }, overlaid(around, outer), transport, wrappers + 1)
    }
    try {
      return asEvent()
    } catch (error) {
      const names = codecs.map(({ name }) => name).join(', ')
      throw unreadable(`None of the codecs (${names}, CloudEvents) knows the body`, error)
    }
  }
}

type Headers = Readonly<Record<string, string>>

/** What a message that says no type is called. */
const untyped = 'untyped'

/** A message that is not decoded. Whatever it is, it can be read. */
function asItTravels(source: Readable, topic: string, sentAt: number): Message<UndecodedMessage> {
  const data = toUndecoded(source)
  const { id = newId(), type = untyped, key, timestamp = new Date(sentAt), expiresAt, attributes } = data
  return {
    id,
    type,
    version: 1,
    timestamp,
    data,
    metadata: { ...data.headers, source: attributes.source ?? topic },
    ...(key !== undefined && { key }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(data.id === undefined && { filledIn: ['id'] }),
  }
}

/** What the transport says beside headers and body. */
interface Transport {
  readonly topic: string
  readonly id: string | undefined
  readonly timestamp: number
}

function stagesIn(headers: Headers): readonly AppliedStage[] {
  try {
    return appliedStages(headers)
  } catch (error) {
    throw unreadable(`The header ${headerNames.stages} cannot be read`, error)
  }
}

function unreadable(what: string, error?: unknown): MessagingError {
  if (MessagingError.is(error) && error.retryable) return error
  const why = error === undefined ? '' : `: ${toError(error).message}`
  return new MessagingError('undecodable', `${what}${why}`, { cause: error })
}

/** What the inner says, and where it says nothing, what the outer said. */
function overlaid<Inner extends Omit<DecodedMessage, 'data'>>(
  outer: Omit<DecodedMessage, 'data'>,
  inner: Inner,
): Inner {
  const said = Object.entries(inner).filter(([, value]) => value !== undefined)
  return {
    ...outer,
    ...Object.fromEntries(said),
    metadata: { ...outer.metadata, ...inner.metadata },
  } as Inner
}

/** The message that a codec read, with what neither it nor CloudEvents headers say filled in. */
function complete(codec: Codec, decoded: DecodedMessage, wire: WireMessage, transport: Transport): Message {
  const { headers } = wire
  const stated = attributesIn(headers)
  const read = present({
    id: decoded.id,
    source: decoded.source,
    type: decoded.type,
    time: timeText(decoded.time),
    dataversion: decoded.version,
    partitionkey: decoded.key,
    expirytime: timeText(decoded.expiresAt),
  })
  const said = stated.specversion === undefined ? { ...stated, ...read } : { ...read, ...stated }
  const filled = {
    id: headers[headerNames.id] ?? transport.id ?? newId(),
    source: transport.topic,
    time: headers[headerNames.time] ?? new Date(transport.timestamp).toISOString(),
  }
  const attributes = readAttributes({ ...filled, specversion: '1.0', ...present(said) })
  if ('problems' in attributes) {
    throw unreadable(`The codec ${codec.name} read no complete message: ${attributes.problems.join('; ')}`)
  }
  const message = toMessage(
    { attributes, data: decoded.data, headers: { ...othersIn(headers), ...texts(decoded.metadata) } },
    transport.timestamp,
    wire.key,
  )
  const filledIn = (
    [
      ['id', 'id'],
      ['source', 'source'],
      ['timestamp', 'time'],
    ] as const
  ).flatMap(([field, attribute]) => (said[attribute] === undefined ? [field] : []))
  return filledIn.length === 0 ? message : { ...message, filledIn }
}

function timeText(time: Date | undefined): string | undefined {
  return time === undefined ? undefined : Number.isNaN(time.getTime()) ? 'no valid time' : time.toISOString()
}

function present(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  )
}

function texts(metadata: DecodedMessage['metadata']): Record<string, string> {
  const entries = Object.entries(metadata ?? {})
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}
