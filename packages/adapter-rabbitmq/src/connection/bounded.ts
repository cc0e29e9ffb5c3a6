import { type Clock, MessagingError } from '@waybill/core/driver'
import type { Channel } from 'amqplib'

/** The promise, or a `timeout` error once the time is over. What the promise does later is nobody's concern. */
export function within<Value>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  promise: Promise<Value>,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => {
      reject(
        new MessagingError('timeout', `${what}: no answer from RabbitMQ within ${timeoutMs} ms`, {
          retryable: true,
        }),
      )
    })
    promise.then(resolve, reject).finally(cancel)
  })
}

/** Closes a channel; resolves when it is gone, be it with its connection, which `close` itself never learns of. */
export function closeChannel(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    channel.once('close', resolve)
    channel.close().then(resolve, () => resolve())
  })
}
