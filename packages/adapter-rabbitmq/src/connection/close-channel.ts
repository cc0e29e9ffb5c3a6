import type { Channel } from '../client/amqplib.ts'

/** Closes a channel; resolves when it is gone, be it with its connection, which `close` itself never learns of. */
export function closeChannel(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    channel.once('close', resolve)
    channel.close().then(resolve, () => resolve())
  })
}
