import type { Message } from './message.ts'

/** A message as a transport carries it. */
export interface WireMessage {
  readonly body: Uint8Array
  /** Undefined where the transport has none. */
  readonly contentType: string | undefined
  /** All transport headers as text, under the names they came with. */
  readonly headers: Readonly<Record<string, string>>
  readonly topic: string
  /** The transport's ordering key. */
  readonly key: string | undefined
  /** What the transport itself calls the kind of message: AMQP's routing key. Undefined elsewhere. */
  readonly subject: string | undefined
}

/** What a codec makes of a message. */
export interface EncodedMessage {
  readonly body: Uint8Array
  /** The media type of the body. */
  readonly contentType: string
  /** Headers that readers of this format look for, beside the message's own. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * What a codec reads of a message; only `data` has to be there. What is left out comes from CloudEvents headers if the
 * transport has them (with `ce_specversion` there, those win over what the codec read), and is filled in otherwise.
 */
export interface DecodedMessage {
  readonly data: unknown
  readonly type?: string | undefined
  readonly id?: string | undefined
  /** A URI reference. */
  readonly source?: string | undefined
  readonly time?: Date | undefined
  /** Of the data's shape; a positive integer. */
  readonly version?: number | undefined
  readonly key?: string | undefined
  readonly expiresAt?: Date | undefined
  /** What else it says, such as `correlationId`, `causationId`, `traceparent`, and names of its own. */
  readonly metadata?: Readonly<Record<string, string | undefined>>
}

/** A message within a message: what a service wrapped around it is off, and the codecs look at what is inside. */
export interface UnwrappedMessage extends Omit<DecodedMessage, 'data'> {
  readonly inside: Pick<WireMessage, 'body' | 'contentType' | 'headers'>
}

/**
 * A format of bodies: how a message becomes bytes, and how bytes become a message.
 *
 * @example
 * const lines: Codec = {
 *   name: 'lines',
 *   encode: ({ data }) => ({ body: Buffer.from(String(data)), contentType: 'text/x-lines' }),
 *   decode: ({ body, contentType }) =>
 *     contentType === 'text/x-lines' ? { type: 'line.added', data: Buffer.from(body).toString() } : undefined,
 * }
 */
export interface Codec {
  /** For errors. */
  readonly name: string
  /**
   * It carries data that JSON cannot, such as BigInts and Maps. Otherwise such data is refused before it reaches the codec,
   * so that nothing is changed in silence. Default: false.
   */
  readonly carriesAnyData?: boolean
  /**
   * A message as bytes. `message.data` is what `send` was given, checked but not transformed by the schema. Left out: the codec
   * only reads, and sending uses the next one. What it throws is a problem of the data (`InvalidMessageError`), unless it is a
   * `MessagingError`.
   */
  encode?(message: Message): EncodedMessage | Promise<EncodedMessage>
  /**
   * Undefined: this is not a body of this format, and the next codec is asked. Throws when it is one that cannot be read: the
   * message goes to the dead letters as `undecodable`. A retryable `MessagingError` says that it may be read later, such
   * as when a schema registry is away: the message stays in hand and is tried again with backoff.
   */
  decode(
    message: WireMessage,
  ): DecodedMessage | UnwrappedMessage | undefined | Promise<DecodedMessage | UnwrappedMessage | undefined>
}
