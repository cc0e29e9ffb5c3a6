import type { SQSClient } from '@aws-sdk/client-sqs'

/** A client for the service that an `sqs+http:` URL names. Credentials come from the environment. */
export async function createClient(url: string, maxSockets?: number): Promise<SQSClient> {
  const { SQSClient } = await import('@aws-sdk/client-sqs')
  const { searchParams } = new URL(url)
  return new SQSClient({
    endpoint: endpointOf(url),
    region: searchParams.get('region') ?? 'us-east-1',
    ...(maxSockets !== undefined && { requestHandler: { httpAgent: { keepAlive: true, maxSockets } } }),
  })
}

export function endpointOf(url: string): string {
  const { host } = new URL(url)
  return `${url.startsWith('sqs+http:') ? 'http' : 'https'}://${host}`
}

/** The URL of a queue, which is made if it is not there. */
export async function createQueue(client: SQSClient, name: string): Promise<string> {
  const { CreateQueueCommand } = await import('@aws-sdk/client-sqs')
  const { QueueUrl: queueUrl } = await client.send(new CreateQueueCommand({ QueueName: name }))
  if (queueUrl === undefined) throw new Error(`The queue ${name} has no URL`)
  return queueUrl
}

/** Messages that wait or are being handled. */
export async function remainingOf(client: SQSClient, queueUrl: string): Promise<number> {
  const { GetQueueAttributesCommand } = await import('@aws-sdk/client-sqs')
  const { Attributes: attributes = {} } = await client.send(
    new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  )
  return Object.values(attributes).reduce((sum, value) => sum + Number(value), 0)
}
