import type { ChannelModel } from 'amqplib'
import { type Frame, readDeliverFrames } from './deliver-frames.ts'

/** What amqplib reads with. Not in its types, so its absence must do no harm. */
interface FrameReceiver {
  /** What has come and is not read yet. */
  rest: Buffer
  /** The next frame; false when it is not there as a whole. */
  recvFrame(): unknown
}

function isReceiver(connection: object): connection is FrameReceiver {
  return (
    'recvFrame' in connection &&
    typeof connection.recvFrame === 'function' &&
    'rest' in connection &&
    Buffer.isBuffer(connection.rest)
  )
}

/** Has deliveries read by us, and those that are not usual by amqplib, like all else that the broker says. */
export function decodeMessages({ connection }: ChannelModel): void {
  if (!isReceiver(connection)) return
  const theirs = connection.recvFrame
  let frames: readonly Frame[] = []
  let next = 0
  connection.recvFrame = () => {
    if (next === frames.length) {
      const read = readDeliverFrames(connection.rest)
      if (read === undefined) return theirs.call(connection)
      connection.rest = connection.rest.subarray(read.end)
      frames = read.frames
      next = 0
    }
    next += 1
    return frames[next - 1]
  }
}
