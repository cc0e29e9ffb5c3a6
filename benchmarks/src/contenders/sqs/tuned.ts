import { Coalescer } from '../../coalescer.ts'
import type { Contender } from '../../contender.ts'
import { createClient, createQueue, remainingOf } from './client.ts'
import { poll } from './poll.ts'

const entriesABatch = 10
const batchesAtOnce = 8
const maxSockets = 64

/** As somebody writes it who pays by the request: batches of ten both ways, several of them under way. */
export const contender: Contender = {
  guarantees:
    'SendMessageBatch of ten, eight under way; ten polling loops, a DeleteMessageBatch a receive. The visibility timeout is not renewed.',
  works: 'abcdh',

  async setup({ url, name }) {
    const { DeleteMessageBatchCommand, SendMessageBatchCommand } = await import('@aws-sdk/client-sqs')
    const client = await createClient(url, maxSockets)
    const queueUrl = await createQueue(client, name)
    const send = async (bodies: readonly string[]) => {
      const entries = bodies.map((body, index) => ({ Id: String(index), MessageBody: body }))
      const { Failed: failed = [] } = await client.send(
        new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }),
      )
      if (failed.length > 0) throw new Error(`${failed.length} of a batch failed: ${failed[0]?.Message}`)
    }
    const sends = new Coalescer<string>(send, entriesABatch, batchesAtOnce)
    return {
      send: (event) => sends.add(JSON.stringify(event)),
      consume: (handle, concurrency) =>
        poll(client, queueUrl, Math.ceil(concurrency / entriesABatch), async (messages) => {
          if (messages.length === 0) return
          await Promise.all(messages.map(({ Body: body = '' }) => handle(JSON.parse(body))))
          const entries = messages.map(({ ReceiptHandle: receipt }, index) => ({
            Id: String(index),
            ReceiptHandle: receipt,
          }))
          await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }))
        }),
      remaining: () => remainingOf(client, queueUrl),
      teardown: async () => client.destroy(),
    }
  },

  async coldStart(url, { imported, connected }) {
    const { ListQueuesCommand } = await import('@aws-sdk/client-sqs')
    imported()
    const client = await createClient(url, maxSockets)
    await client.send(new ListQueuesCommand({ MaxResults: 1 }))
    connected()
    return async () => client.destroy()
  },
}
