import type { Contender } from '../../contender.ts'
import { Slots } from '../../slots.ts'
import { MultipleAcks } from './multiple-acks.ts'

const prefetch = 500

/** As somebody writes it who knows the protocol: a connection each way, no Nagle delay, one ack for many. */
export const contender: Contender = {
  guarantees:
    'Confirms as they come, many under way; durable quorum queue, persistent messages; `multiple` acks up to the lowest unhandled message. No reconnect, no retries.',
  works: 'abcdeh',

  async setup({ url, name }) {
    const { connect } = await import('amqplib')
    const publisher = await connect(url, { noDelay: true })
    const publishing = await publisher.createConfirmChannel()
    await publishing.assertExchange(name, 'topic', { durable: true })
    await publishing.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await publishing.bindQueue(name, name, '#')
    const consumer = await connect(url, { noDelay: true })
    const options = { persistent: true, contentType: 'application/json' }
    return {
      send: (event) =>
        new Promise((resolve, reject) => {
          publishing.publish(
            name,
            'benchmark.event',
            Buffer.from(JSON.stringify(event)),
            options,
            (error) => {
              if (error) reject(error)
              else resolve()
            },
          )
        }),
      async consume(handle, concurrency) {
        const channel = await consumer.createChannel()
        await channel.prefetch(prefetch)
        const acks = new MultipleAcks(channel)
        const slots = new Slots(concurrency)
        await channel.consume(name, async (message) => {
          if (message === null) return
          const slot = slots.acquire()
          if (slot !== undefined) await slot
          await handle(JSON.parse(message.content.toString()))
          slots.release()
          acks.add(message)
        })
        return async () => {
          acks.flush()
          await channel.close()
        }
      },
      remaining: async () => (await publishing.checkQueue(name)).messageCount,
      async teardown() {
        await Promise.all([publisher.close(), consumer.close()])
      },
    }
  },

  async coldStart(url, { imported, connected }) {
    const { connect } = await import('amqplib')
    imported()
    const connection = await connect(url, { noDelay: true })
    connected()
    return () => connection.close()
  },
}
