import { Socket } from 'node:net'
import type { ChannelModel } from 'amqplib'
import { basicPublish, type PublishFields, type PublishProperties, publishFrames } from './publish-frames.ts'

/** Not in amqplib's types, so its absence must do no harm. */
function socketOf({ connection }: ChannelModel): Socket | undefined {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : undefined
}

/** When the socket is gone, which is later than amqplib says: who counts handles after `close` shall find none. */
export function socketClosed(model: ChannelModel): Promise<unknown> {
  const socket = socketOf(model)
  return new Promise((resolve) => (socket === undefined ? resolve(undefined) : socket.once('close', resolve)))
}

/**
 * amqplib writes frame by frame, and each takes a system call: a third of the time of a message. Corked until the end of
 * the tick they go together, and the broker reads them together.
 */
export function coalesceWrites(model: ChannelModel): void {
  const socket = socketOf(model)
  if (socket === undefined) return
  const write = socket.write
  const uncork = () => socket.uncork()
  const coalescingWrite = (...args: unknown[]): unknown => {
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(uncork)
    }
    return Reflect.apply(write, socket, args)
  }
  // Writable, because Node puts a `write` of its own there once the other side has ended.
  Object.defineProperty(socket, 'write', { value: coalescingWrite, writable: true, configurable: true })
}

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

/** A frame's head and its end (AMQP 0-9-1 specification, 4.2.3). */
const frameOverheadBytes = 8
