import type { Message, SQSClient } from '@aws-sdk/client-sqs'

const messagesAReceive = 10
const waitSeconds = 20

/** Polls in so many loops at once; each handles what a receive brought before it receives again. */
export async function poll(
  client: SQSClient,
  queueUrl: string,
  loops: number,
  handle: (messages: readonly Message[]) => Promise<void>,
): Promise<() => Promise<void>> {
  const { ReceiveMessageCommand } = await import('@aws-sdk/client-sqs')
  const stopping = new AbortController()
  const receive = new ReceiveMessageCommand({
    QueueUrl: queueUrl,
    MaxNumberOfMessages: messagesAReceive,
    WaitTimeSeconds: waitSeconds,
  })
  const loop = async () => {
    while (!stopping.signal.aborted) {
      try {
        const { Messages: messages = [] } = await client.send(receive, { abortSignal: stopping.signal })
        await handle(messages)
      } catch (error) {
        if (!stopping.signal.aborted) throw error
      }
    }
  }
  const looping = Promise.all(Array.from({ length: loops }, loop))
  return async () => {
    stopping.abort()
    await looping
  }
}
