import type { ChannelModel } from 'amqplib'
import { basicClass, basicPublish, frameOverheadBytes } from './frames.ts'
import { type PublishFields, type PublishProperties, publishFrames } from './publish-frames.ts'

type SendMessage = (
  this: object,
  channel: number,
  method: number,
  fields: PublishFields,
  kind: number,
  properties: PublishProperties,
  body: Buffer,
) => boolean

/** What amqplib sends messages with. Not in its types, so its absence must do no harm. */
interface MessageSender {
  readonly frameMax: number
  readonly channels: readonly { readonly buffer: { write(frames: Buffer): boolean } }[]
  sentSinceLastCheck: boolean
  sendMessage: SendMessage
}

function isSender(connection: object): connection is MessageSender {
  return (
    'sendMessage' in connection &&
    typeof connection.sendMessage === 'function' &&
    'channels' in connection &&
    Array.isArray(connection.channels) &&
    'frameMax' in connection &&
    typeof connection.frameMax === 'number'
  )
}

/** One of every kind that we write ourselves. */
const sample = {
  channel: 1,
  fields: { ticket: 0, exchange: 'orders', routingKey: 'order.paid', mandatory: true, immediate: false },
  properties: {
    contentType: 'application/cloudevents+json',
    headers: { 'cloudEvents:id': '1', tenant: 'ж' },
    deliveryMode: 2,
    priority: 9,
    expiration: '60000',
    messageId: '1',
    type: 'order.paid',
  },
  body: Buffer.from('{"n":1}'),
}

/** Whether this amqplib writes the sample byte for byte as we do; it is asked apart from any connection. */
function writesAlike(sendMessage: SendMessage): boolean {
  const written: Buffer[] = []
  const write = (bytes: Buffer) => written.push(bytes) > 0
  const apart = {
    frameMax: 0x1_0000,
    channels: [undefined, { buffer: { write } }],
    sentSinceLastCheck: false,
  }
  const { channel, fields, properties, body } = sample
  try {
    sendMessage.call(apart, channel, basicPublish, fields, basicClass, properties, body)
    return publishFrames(channel, fields, properties, body)?.equals(Buffer.concat(written)) === true
  } catch {
    return false
  }
}

/**
 * Has messages put into frames by us, and those that are not usual by amqplib, which also says when it is closed. Only on
 * this connection. False, and nothing is changed, where amqplib is not as we know it.
 */
export function encodeMessages({ connection }: ChannelModel): boolean {
  if (!isSender(connection) || !writesAlike(connection.sendMessage)) return false
  const theirs = connection.sendMessage
  connection.sendMessage = (channel, method, fields, kind, properties, body) => {
    const line = connection.channels[channel]?.buffer
    const fits = body.length + frameOverheadBytes <= connection.frameMax
    const frames =
      method === basicPublish && fits ? publishFrames(channel, fields, properties, body) : undefined
    if (line === undefined || frames === undefined) {
      return theirs.call(connection, channel, method, fields, kind, properties, body)
    }
    connection.sentSinceLastCheck = true
    return line.write(frames)
  }
  return true
}
