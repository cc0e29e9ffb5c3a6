import { MessageHandlerConfigBuilder } from '@message-queue-toolkit/core'
import {
  AbstractSqsConsumer,
  AbstractSqsPublisher,
  type SQSConsumerDependencies,
} from '@message-queue-toolkit/sqs'
import type { Contender, Handle } from '../../../src/contender.ts'
import { createClient, createQueue, remainingOf } from '../../../src/contenders/sqs/client.ts'
import { type ToolkitMessage, toolkitDependencies, toolkitSchema, toToolkitMessage } from '../toolkit.ts'

const messageTypeResolver = { messageTypePath: 'type' }
const messagesAPoll = 10

class EventPublisher extends AbstractSqsPublisher<ToolkitMessage> {
  constructor(dependencies: SQSConsumerDependencies, queueUrl: string) {
    super(dependencies, { locatorConfig: { queueUrl }, messageTypeResolver, messageSchemas: [toolkitSchema] })
  }
}

class EventConsumer extends AbstractSqsConsumer<ToolkitMessage, undefined> {
  constructor(dependencies: SQSConsumerDependencies, queueUrl: string, loops: number, handle: Handle) {
    super(
      dependencies,
      {
        locatorConfig: { queueUrl },
        messageTypeResolver,
        concurrentConsumersAmount: loops,
        // Short polls, so that it can be stopped without aborting one.
        consumerOverrides: { batchSize: messagesAPoll, waitTimeSeconds: 1 },
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
    'SendMessage for each, awaited; ten polling loops of ten messages, a request a message deleted; schema validation, retries by sending the message again.',
  works: 'ab',

  async setup({ url, name }) {
    const client = await createClient(url)
    const queueUrl = await createQueue(client, name)
    const dependencies = { ...toolkitDependencies, sqsClient: client }
    const publisher = new EventPublisher(dependencies, queueUrl)
    await publisher.init()
    return {
      send: (event) => publisher.publish(toToolkitMessage(event)),
      async consume(handle, concurrency) {
        const loops = Math.ceil(concurrency / messagesAPoll)
        const consumer = new EventConsumer(dependencies, queueUrl, loops, handle)
        await consumer.start()
        return () => consumer.close()
      },
      remaining: () => remainingOf(client, queueUrl),
      async teardown() {
        await publisher.close()
        client.destroy()
      },
    }
  },
}
