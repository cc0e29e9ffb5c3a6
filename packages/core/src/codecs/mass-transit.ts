import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Codec, DecodedMessage, EncodedMessage } from '../messages/codec.ts'
import type { Message } from '../messages/message.ts'
import { isObject, type JsonObject, jsonData, objectIn, textOf, timeOf, toJson } from './json-body.ts'
import { TypeNames } from './type-names.ts'

export interface MassTransitOptions {
  /**
   * The messages' names in MassTransit, namespace and class, by Waybill's types: `{ 'order.placed': 'Shop.Contracts:OrderPlaced' }`.
   * A name that is not listed becomes its class, `OrderPlaced`.
   */
  readonly types?: Readonly<Record<string, string>>
}

const optionsSchema = lazily(() =>
  z.strictObject({
    types: z
      .record(
        z.string(),
        z.string().regex(/^[^\s:]+(?::[^\s:]+)+$/, 'expected a name such as "Shop.Contracts:OrderPlaced"'),
      )
      .default({}),
  }),
)

const contentType = 'application/vnd.masstransit+json'

// MassTransit documentation, "Message serialization": the URN of a message's .NET type.
const urn = 'urn:message:'

/**
 * MassTransit's envelope, both ways. Of several names (a class and its interfaces) the first that `types` lists is taken.
 *
 * ```ts
 * const orders = defineTopic('orders', { codec: massTransit({ types: { 'order.placed': 'Shop.Contracts:OrderPlaced' } }) })
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the options.
 */
export function massTransit(options: MassTransitOptions = {}): Codec {
  const names = new TypeNames(parseOptions(optionsSchema(), options, 'massTransit options').types)
  return {
    name: 'massTransit',
    encode: (message) => encode(message, names),
    decode: (wire) => {
      const envelope = objectIn(wire)
      return envelope !== undefined && Array.isArray(envelope.messageType) && 'message' in envelope
        ? decode(envelope, envelope.messageType, names)
        : undefined
    },
  }
}

// Its readers fail on ids that are no GUIDs, and on addresses that are no absolute URIs; all may be missing. Readers of ours
// have the message's own from the headers.
const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const asGuid = (id: string | undefined) => (id !== undefined && guid.test(id) ? id : undefined)

function encode(message: Message, names: TypeNames): EncodedMessage {
  const { source, correlationId, causationId, traceparent, tracestate, ...headers } = message.metadata
  const envelope = {
    messageId: asGuid(message.id),
    correlationId: asGuid(correlationId),
    conversationId: asGuid(correlationId) ?? asGuid(message.id),
    initiatorId: asGuid(causationId),
    sourceAddress: URL.canParse(source) ? source : undefined,
    messageType: [`${urn}${names.theirs(message.type)}`],
    message: jsonData(message.data),
    sentTime: message.timestamp.toISOString(),
    expirationTime: message.expiresAt?.toISOString(),
    headers,
  }
  return { body: toJson(envelope), contentType }
}

function decode(
  envelope: JsonObject,
  urns: readonly unknown[],
  names: TypeNames,
): DecodedMessage | undefined {
  const theirs = urns.flatMap((each) => (typeof each === 'string' ? [each.replace(urn, '')] : []))
  const name = theirs.find((each) => names.knows(each)) ?? theirs[0]
  if (name === undefined) return undefined
  const headers = isObject(envelope.headers) ? envelope.headers : {}
  return {
    data: envelope.message,
    type: names.knows(name) ? names.ours(name) : name.slice(name.lastIndexOf(':') + 1),
    id: textOf(envelope.messageId, 'messageId'),
    source: textOf(envelope.sourceAddress, 'sourceAddress'),
    time: timeOf(envelope.sentTime, 'sentTime'),
    expiresAt: timeOf(envelope.expirationTime, 'expirationTime'),
    metadata: {
      ...Object.fromEntries(
        Object.entries(headers).flatMap(([header, value]) =>
          typeof value === 'string' ? [[header, value]] : [],
        ),
      ),
      correlationId: textOf(envelope.correlationId ?? envelope.conversationId, 'correlationId'),
      causationId: textOf(envelope.initiatorId, 'initiatorId'),
    },
  }
}
