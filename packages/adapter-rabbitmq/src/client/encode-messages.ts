import type { ChannelModel } from 'amqplib'
import { basicPublish, frameOverheadBytes } from './frames.ts'
import { type PublishFields, type PublishProperties, publishFrames } from './publish-frames.ts'

/** What amqplib sends messages with. Not in its types, so its absence must do no harm. */
interface MessageSender {
  readonly frameMax: number
  readonly channels: readonly { readonly buffer: { write(frames: Buffer): boolean } }[]
  sentSinceLastCheck: boolean
  sendMessage(
    channel: number,
    method: number,
    fields: PublishFields,
    kind: number,
    properties: PublishProperties,
    body: Buffer,
  ): boolean
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

/** Has messages put into frames by us, and those that are not usual by amqplib, which also says when it is closed. */
export function encodeMessages({ connection }: ChannelModel): void {
  if (!isSender(connection)) return
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
}
