import type { Codec } from '@waybill/core/codecs'
import protobuf from 'protobufjs'

export interface ProtobufOptions {
  /** The text of a .proto file. */
  readonly proto: string
  /** Protobuf's messages by message type: `{ 'order.placed': 'shop.OrderPlaced' }`. */
  readonly messages: Readonly<Record<string, string>>
}

const contentType = 'application/x-protobuf'
const named = /^application\/x-protobuf\s*;\s*messageType="?(?<name>[\w.]+)"?\s*$/i

/**
 * Protobuf. A body does not say which message it is, so its content type does: `application/x-protobuf;
 * messageType="shop.OrderPlaced"`. 64-bit integers are text, because numbers would round them.
 */
export function protobufOf({ proto, messages }: ProtobufOptions): Codec {
  const { root } = protobuf.parse(proto)
  const nameOf = new Map(Object.entries(messages))
  const typeOf = new Map(Object.entries(messages).map(([type, name]) => [name, type]))
  // Fails here, and not at the first message, if the .proto does not have it.
  const formOf = new Map([...nameOf.values()].map((name) => [name, root.lookupType(name)]))
  return {
    name: 'protobuf',
    // Bytes within data.
    carriesAnyData: true,
    encode({ type, data }) {
      const name = nameOf.get(type) ?? ''
      const form = formOf.get(name)
      if (form === undefined) throw new Error(`there is no Protobuf message for ${type}`)
      if (typeof data !== 'object' || data === null) throw new Error('the data is no object')
      const body = form.encode(form.fromObject(data)).finish()
      return { body, contentType: `${contentType}; messageType="${name}"` }
    },
    decode(message) {
      const name = named.exec(message.contentType ?? '')?.groups?.name ?? ''
      const form = formOf.get(name)
      if (form === undefined) return undefined
      const data = form.toObject(form.decode(message.body), { longs: String, enums: String, defaults: true })
      return { type: typeOf.get(name), data }
    },
  }
}
