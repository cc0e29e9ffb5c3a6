import type { Contender } from '../../../src/contender.ts'
import type { BenchmarkEvent } from '../../../src/event.ts'

const pattern = 'benchmark.event'

export const contender: Contender = {
  guarantees:
    'As configured here: confirms, persistent messages to a quorum queue, acks by the handler. By default it acks before the handler runs (`noAck: true`) and its messages are not persistent.',
  works: 'ab',

  async setup({ url, name }) {
    const { ClientProxyFactory, RmqContext, Transport } = await import('@nestjs/microservices')
    const { lastValueFrom } = await import('rxjs')
    const { connect } = await import('amqplib')
    const { startNestApplication } = await import('../nest-application.ts')
    const options = {
      urls: [url],
      queue: name,
      queueOptions: { durable: true, arguments: { 'x-queue-type': 'quorum' } },
      persistent: true,
      noAck: false,
    }
    const client = ClientProxyFactory.create({
      transport: Transport.RMQ,
      options: { ...options, noAck: true },
    })
    await client.connect()
    return {
      async send(event) {
        await lastValueFrom(client.emit(pattern, event), { defaultValue: undefined })
      },
      consume: (handle, concurrency) =>
        startNestApplication<BenchmarkEvent, InstanceType<typeof RmqContext>>(
          { transport: Transport.RMQ, options: { ...options, prefetchCount: concurrency } },
          pattern,
          async (event, context) => {
            await handle(event)
            context.getChannelRef().ack(context.getMessage())
          },
        ),
      async remaining() {
        const connection = await connect(url)
        const { messageCount } = await (await connection.createChannel()).checkQueue(name)
        await connection.close()
        return messageCount
      },
      teardown: async () => client.close(),
    }
  },
}
