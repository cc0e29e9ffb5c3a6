import { type Clock, sleep } from '@waybill/core/driver'
import type { Channel } from '../client/amqplib.ts'

/** Below that of every member. A priority is a signed number of 32 bits here. */
const lowestPriority = -(2 ** 31)

/** How long a queue may take to learn what a channel has read. */
const queueDelayMs = 100

/**
 * Resolves when the queue has the acks of this channel: one that closes forgets those that its queues have not taken yet
 * (RabbitMQ 4.0, rabbit_fifo_client). Consumers come and go behind them and are answered when that is done, so one comes and
 * goes that is never active.
 */
export async function untilAcksTaken(channel: Channel, queue: string): Promise<void> {
  const { consumerTag } = await channel.consume(queue, () => undefined, { priority: lowestPriority })
  await channel.cancel(consumerTag)
}

/**
 * Resolves when the queue has all that was acknowledged, without a consumer on it. The answer comes when the channel has
 * read it, a moment before the queue has it; what a channel has in hand when it closes before that comes back besides its
 * copy (RabbitMQ 4.0).
 */
export async function untilSettled(channel: Channel, queue: string, clock: Clock): Promise<void> {
  await channel.checkQueue(queue)
  await sleep(clock, queueDelayMs)
}
