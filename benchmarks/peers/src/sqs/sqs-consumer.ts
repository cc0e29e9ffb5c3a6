import type { Contender } from '../../../src/contender.ts'
import { createClient, createQueue, remainingOf } from '../../../src/contenders/sqs/client.ts'

export const contender: Contender = {
  guarantees:
    'Consumes only (the backlog is sent by the plain client): one loop that receives ten, a handler a message, a request a message deleted.',
  works: 'b',

  async setup({ url, name }) {
    const { SendMessageCommand } = await import('@aws-sdk/client-sqs')
    const { Consumer } = await import('sqs-consumer')
    const client = await createClient(url)
    const queueUrl = await createQueue(client, name)
    return {
      async send(event) {
        await client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(event) }))
      },
      async consume(handle) {
        const consumer = Consumer.create({
          queueUrl,
          sqs: client,
          batchSize: 10,
          handleMessage: async (message) => {
            await handle(JSON.parse(message.Body ?? ''))
            return message
          },
        })
        consumer.on('error', console.error)
        consumer.start()
        return async () => {
          const stopped = new Promise((resolve) => consumer.once('stopped', resolve))
          consumer.stop({ abort: true })
          await stopped
        }
      },
      remaining: () => remainingOf(client, queueUrl),
      teardown: async () => client.destroy(),
    }
  },
}
