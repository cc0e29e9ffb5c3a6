import { AbstractAmqpQueueConsumer, AmqpConnectionManager } from '@message-queue-toolkit/amqp'
import { MessageHandlerConfigBuilder } from '@message-queue-toolkit/core'
import type { Contender, Handle } from '../../../src/contender.ts'
import { type ToolkitMessage, toolkitDependencies, toolkitSchema, toToolkitMessage } from '../toolkit.ts'

type Dependencies = typeof toolkitDependencies & { amqpConnectionManager: AmqpConnectionManager }

class EventConsumer extends AbstractAmqpQueueConsumer<ToolkitMessage, undefined> {
  constructor(dependencies: Dependencies, queueName: string, handle: Handle) {
    super(
      dependencies,
      {
        locatorConfig: { queueName },
        messageTypeResolver: { messageTypePath: 'type' },
        handlers: new MessageHandlerConfigBuilder<ToolkitMessage, undefined>()
          .addConfig(toolkitSchema, async ({ event }) => {
            await handle(event)
            return { result: 'success' as const }
          })
          .build(),
      },
      undefined,
    )
  }
}

export const contender: Contender = {
  guarantees:
    'Consumes only: its publisher has no confirms and resolves nothing, so the backlog is sent by amqplib with confirms. No prefetch limit: the whole queue comes into memory. An ack a message, schema validation.',
  works: 'b',

  async setup({ url, name }) {
    const { connect } = await import('amqplib')
    const connection = await connect(url)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    const { hostname, port, username, password } = new URL(url)
    const manager = new AmqpConnectionManager(
      { hostname, port: Number(port), username, password, vhost: '', useTls: false },
      toolkitDependencies.logger,
    )
    await manager.init()
    return {
      send: (event) =>
        new Promise((resolve, reject) => {
          const body = Buffer.from(JSON.stringify(toToolkitMessage(event)))
          channel.sendToQueue(name, body, { persistent: true }, (error) => {
            if (error) reject(error)
            else resolve()
          })
        }),
      async consume(handle) {
        const dependencies = { ...toolkitDependencies, amqpConnectionManager: manager }
        const consumer = new EventConsumer(dependencies, name, handle)
        await consumer.start()
        return () => consumer.close()
      },
      remaining: async () => (await channel.checkQueue(name)).messageCount,
      async teardown() {
        await manager.close()
        await connection.close()
      },
    }
  },
}
