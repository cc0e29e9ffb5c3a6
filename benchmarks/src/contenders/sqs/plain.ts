import type { Contender } from '../../contender.ts'
import { createClient, createQueue, remainingOf } from './client.ts'
import { poll } from './poll.ts'

/** As the SDK's examples have it: a request a message sent, one polling loop, a request a message deleted. */
export const contender: Contender = {
  guarantees:
    'SendMessage for each; one loop that receives ten, handles them together and deletes each. The visibility timeout is not renewed.',
  works: 'abcdh',

  async setup({ url, name }) {
    const { DeleteMessageCommand, SendMessageCommand } = await import('@aws-sdk/client-sqs')
    const client = await createClient(url)
    const queueUrl = await createQueue(client, name)
    return {
      async send(event) {
        await client.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: JSON.stringify(event) }))
      },
      consume: (handle) =>
        poll(client, queueUrl, 1, async (messages) => {
          await Promise.all(
            messages.map(async ({ Body: body = '', ReceiptHandle: receipt }) => {
              await handle(JSON.parse(body))
              await client.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: receipt }))
            }),
          )
        }),
      remaining: () => remainingOf(client, queueUrl),
      teardown: async () => client.destroy(),
    }
  },

  async coldStart(url, { imported, connected }) {
    const { ListQueuesCommand } = await import('@aws-sdk/client-sqs')
    imported()
    const client = await createClient(url)
    await client.send(new ListQueuesCommand({ MaxResults: 1 }))
    connected()
    return async () => client.destroy()
  },
}
