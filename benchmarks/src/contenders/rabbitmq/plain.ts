import type { Contender } from '../../contender.ts'

/** As amqplib's own examples have it: a confirm channel, a prefetch, an ack a message. */
export const contender: Contender = {
  guarantees:
    'Each publish awaits its own confirm; durable quorum queue, persistent messages; an ack a message. No reconnect, no retries.',
  works: 'abcdeh',

  async setup({ url, name }) {
    const { connect } = await import('amqplib')
    const connection = await connect(url)
    const publishing = await connection.createConfirmChannel()
    await publishing.assertExchange(name, 'topic', { durable: true })
    await publishing.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    await publishing.bindQueue(name, name, '#')
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
        const channel = await connection.createChannel()
        await channel.prefetch(concurrency)
        await channel.consume(name, async (message) => {
          if (message === null) return
          await handle(JSON.parse(message.content.toString()))
          channel.ack(message)
        })
        return () => channel.close()
      },
      remaining: async () => (await publishing.checkQueue(name)).messageCount,
      teardown: () => connection.close(),
    }
  },

  async coldStart(url, { imported, connected }) {
    const { connect } = await import('amqplib')
    imported()
    const connection = await connect(url)
    connected()
    return () => connection.close()
  },
}
