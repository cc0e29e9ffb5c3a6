import { Socket } from 'node:net'
import type { ChannelModel } from 'amqplib'

/** Not in amqplib's types, so it may be absent. */
function socketOf({ connection }: ChannelModel): Socket | undefined {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : undefined
}

/** When the socket is gone, which is later than amqplib says: after `close` no handle may be left. */
export function socketClosed(model: ChannelModel): Promise<unknown> {
  const socket = socketOf(model)
  return new Promise((resolve) => (socket === undefined ? resolve(undefined) : socket.once('close', resolve)))
}

/**
 * amqplib writes frame by frame, and each takes a system call: a third of the time of a message. Corked until the end
 * of the tick, they are sent, and read by the broker, together.
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
