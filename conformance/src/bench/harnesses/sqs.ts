import { readFile } from 'node:fs/promises'
import { ListTopicsCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import {
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { adapter, type SqsOptions } from '@waybill/adapter-sqs'
import type { Topic } from '@waybill/core'
import type { Harness, RawMessage } from '../../harness.ts'
import { type BrokerName, startBroker } from '../brokers/index.ts'
import type { Surroundings } from '../sqs/surroundings.ts'
import { atBroker } from './at-broker.ts'
import { wrongConnections } from './wrong-connections.ts'

/** Closing waits for the polls under way, and a request without an answer is given up: soon enough for a test. */
const options: SqsOptions = { pollWait: '1s', requestTimeout: '8s', fanOutRefresh: '1s' }

/** Emulators take any credentials, but the SDK wants some. */
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }

export interface OpenEmulator {
  readonly harness: Harness
  readonly surroundings: Surroundings
  close(): Promise<void>
}

export function open(): Promise<OpenEmulator> {
  return openEmulator('sqs')
}

/** An emulator of SQS, with SNS or without it. */
export async function openEmulator(name: Extract<BrokerName, 'sqs' | 'elasticmq'>): Promise<OpenEmulator> {
  const broker = await startBroker(name)
  const plain = {
    endpoint: `http://${broker.host}:${broker.port}`,
    region: 'us-east-1',
    credentials,
    maxAttempts: 5,
  }
  const sqs = new SQSClient({ ...plain, useQueueUrlAsEndpoint: false })
  const sns = new SNSClient(plain)

  const nameOf = ({ name, ordered }: Topic, group: string, dead = false) =>
    `${name}_${group}${dead ? '_dead' : ''}${ordered ? '.fifo' : ''}`

  async function urlOf(topic: Topic, group: string, dead = false): Promise<string> {
    const { QueueUrl = '' } = await sqs.send(
      new GetQueueUrlCommand({ QueueName: nameOf(topic, group, dead) }),
    )
    return QueueUrl
  }

  async function snsTopicOf({ name, ordered }: Topic): Promise<string | undefined> {
    if (broker.url.includes('fanOut=never')) return undefined
    for (let NextToken: string | undefined; ; ) {
      const page = await sns.send(new ListTopicsCommand({ NextToken }))
      const found = page.Topics?.find(({ TopicArn }) =>
        TopicArn?.endsWith(`:${name}${ordered ? '.fifo' : ''}`),
      )
      if (found !== undefined) return found.TopicArn
      NextToken = page.NextToken
      if (NextToken === undefined) return undefined
    }
  }

  async function publishRaw(topic: Topic, message: RawMessage & { readonly type: string }): Promise<void> {
    const text = Buffer.from(message.body).toString('utf8')
    // What is no text travels as the adapter's own bodies do.
    const isText = text !== '' && Buffer.from(text).equals(message.body)
    // Attributes have names of few characters; what has another comes as through a bridge.
    const named = Object.entries(message.headers).filter(([name]) => /^[A-Za-z0-9_.-]+$/.test(name))
    const headers = Object.entries(message.headers).filter(([name]) => !/^[A-Za-z0-9_.-]+$/.test(name))
    const own = { headers: Object.fromEntries(headers), ...(!isText && { encoding: 'base64' }) }
    const attributes = attributesOf({
      ...Object.fromEntries(named),
      ...(message.contentType !== undefined && { 'content-type': message.contentType }),
      'ce-type': message.type,
      ...((headers.length > 0 || !isText) && { waybill: JSON.stringify(own) }),
    })
    const body = isText ? text : Buffer.from(message.body).toString('base64') || ' '
    const fifo = topic.ordered && {
      MessageGroupId: message.key ?? 'none',
      MessageDeduplicationId: `${Math.random()}`,
    }
    const TopicArn = await snsTopicOf(topic)
    if (TopicArn !== undefined) {
      await sns.send(new PublishCommand({ TopicArn, Message: body, MessageAttributes: attributes, ...fifo }))
      return
    }
    for (const { name } of topic.groups) {
      const QueueUrl = await urlOf(topic, name)
      await sqs.send(
        new SendMessageCommand({ QueueUrl, MessageBody: body, MessageAttributes: attributes, ...fifo }),
      )
    }
  }

  const harness: Harness = {
    name,
    ...atBroker(broker, adapter, options),
    timeScale: 4,
    // Whole seconds have to pass in most cases.
    parallel: 8,
    // Emulators take anybody.
    wrong: await wrongConnections(broker.url, { asksForCredentials: false }),
    inspect: {
      publishRaw,
      async rawMessages(topic, group) {
        const QueueUrl = await urlOf(topic, group)
        const messages: RawMessage[] = []
        for (;;) {
          const { Messages = [] } = await sqs.send(
            new ReceiveMessageCommand({
              QueueUrl,
              MaxNumberOfMessages: 10,
              WaitTimeSeconds: 1,
              MessageAttributeNames: ['All'],
            }),
          )
          if (Messages.length === 0) return messages
          messages.push(...Messages.map(toRaw))
        }
      },
      async unsettled(topic, group) {
        const name = 'ApproximateNumberOfMessagesNotVisible'
        const QueueUrl = await urlOf(topic, group)
        const { Attributes } = await sqs.send(
          new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }),
        )
        return Number(Attributes?.[name])
      },
      async failDeadLetterWrites(topic, group) {
        const QueueUrl = await urlOf(topic, group, true)
        const limit = (MaximumMessageSize: string) =>
          sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { MaximumMessageSize } }))
        // The least a queue can be limited to; a failure record has more.
        await limit('1024')
        return async () => {
          await limit('1048576')
        }
      },
      // Seen from this side: the emulator does not tell.
      connectionCount: () => openConnectionsTo(broker.port),
    },
    lowered: { delay: { limitMs: 2000, options: { native: { sqs: { limits: { delayMs: 2000 } } } } } },
  }
  return {
    harness,
    surroundings: { sqs, sns, emulator: { host: broker.host, port: broker.port } },
    async close() {
      sqs.destroy()
      sns.destroy()
      await broker.stop()
    },
  }
}

function attributesOf(headers: Readonly<Record<string, string>>): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
  )
}

function toRaw({ Body = '', MessageAttributes = {} }: Message): RawMessage {
  const { 'content-type': contentType, ...headers } = Object.fromEntries(
    Object.entries(MessageAttributes).map(([name, { StringValue = '' }]) => [name, StringValue]),
  )
  return { body: Buffer.from(Body), contentType, headers }
}

/** Connections to a port of this machine that are established, as Linux lists them (proc(5), `/proc/net/tcp`). */
async function openConnectionsTo(port: number): Promise<number> {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const established = '01'
  let count = 0
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (await readFile(table, 'utf8')).split('\n')) {
      const [, , address = '', state] = line.trim().split(/\s+/)
      if (address.endsWith(remote) && state === established) count += 1
    }
  }
  return count
}
