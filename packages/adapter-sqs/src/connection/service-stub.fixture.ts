/** An endpoint for tests whose every answer is the test's, for what emulators do not show. It speaks as SQS and SNS do. */

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import {
  type Clock,
  type Driver,
  type DriverContext,
  parseBrokerUrl,
  systemClock,
  type TopicSpec,
} from '@waybill/core/driver'
import { SqsDriver } from '../driver.ts'
import { parseSqsOptions, type SqsOptions } from '../options.ts'

/** What was asked: members of SQS as they are, those of SNS by their flattened names (`Tags.member.1.Key`). */
export interface Asked {
  readonly action: string
  readonly input: Readonly<Record<string, unknown>>
}

/** What an action answers: an object for SQS, the inside of the result element for SNS. */
type Answer = (input: Asked['input']) => object | string | Promise<object | string>

/** Thrown by an answer: what the service refuses with. */
export class Refusal {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string) {
    this.status = status
    this.code = code
  }
}

const account = '123456789012'

export const arnOf = (service: 'sqs' | 'sns', name: string): string =>
  `arn:aws:${service}:us-east-1:${account}:${name}`

export class ServiceStub {
  readonly asked: Asked[] = []
  /** What its clock shows, in milliseconds since the epoch. */
  now: () => number = Date.now
  readonly #answers: Readonly<Record<string, Answer>>
  readonly #server: Server

  private constructor(server: Server, answers: Readonly<Record<string, Answer>>) {
    this.#server = server
    this.#answers = answers
  }

  /** Queues and topics do not exist until they are created, unless the answers say otherwise. */
  static async start(answers: Readonly<Record<string, Answer>> = {}): Promise<ServiceStub> {
    const server = createServer()
    const stub = new ServiceStub(server, { ...usual(), ...answers })
    server.on('request', (request, response) => void stub.#answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return stub
  }

  inputsOf(action: string): readonly Asked['input'][] {
    return this.asked.filter((each) => each.action === action).map(({ input }) => input)
  }

  /** As if somebody else had asked. */
  async act(action: string, input: Asked['input']): Promise<void> {
    await this.#answers[action]?.(input)
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The stub does not listen')
    return `sqs+http://id:secret@127.0.0.1:${address.port}`
  }

  async connect(native: SqsOptions = {}, clock: Clock = systemClock): Promise<Driver> {
    const context: DriverContext = {
      native,
      instance: 'test',
      clock,
      signal: new AbortController().signal,
      emit: () => undefined,
    }
    return SqsDriver.open(parseSqsOptions(parseBrokerUrl(this.url), native), context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = request.headers['x-amz-target']
    const isJson = typeof target === 'string'
    const body = await text(request)
    const input: Record<string, unknown> = isJson
      ? JSON.parse(body)
      : Object.fromEntries(new URLSearchParams(body))
    const action = isJson ? target.replace('AmazonSQS.', '') : String(input.Action)
    this.asked.push({ action, input })
    let status = 200
    let answer: object | string
    try {
      answer = (await this.#answers[action]?.(input)) ?? {}
    } catch (thrown) {
      const refusal = thrown instanceof Refusal ? thrown : new Refusal(500, String(thrown))
      status = refusal.status
      answer = isJson ? { __type: refusal.code, message: 'refused' } : `<Code>${refusal.code}</Code>`
    }
    const inside = typeof answer === 'string' ? answer : ''
    const name = status === 200 ? action : 'Error'
    const wrapped =
      status === 200
        ? `<${name}Response><${name}Result>${inside}</${name}Result></${name}Response>`
        : `<ErrorResponse><Error>${inside}</Error></ErrorResponse>`
    response.writeHead(status, {
      'content-type': isJson ? 'application/x-amz-json-1.0' : 'text/xml',
      date: new Date(this.now()).toUTCString(),
    })
    response.end(isJson ? JSON.stringify(answer) : wrapped)
  }
}

function usual(): Record<string, Answer> {
  const queues = new Map<unknown, object>()
  const tags = new Map<unknown, object>()
  const topics = new Set<unknown>()
  const subscriptions = new Map<unknown, Asked['input']>()
  const urlOf = (name: unknown) => `http://localhost/${account}/${name}`
  const nameIn = (url: unknown) => String(url).split('/').at(-1) ?? ''
  return {
    GetQueueUrl({ QueueName }) {
      if (!queues.has(QueueName)) throw new Refusal(400, 'com.amazonaws.sqs#QueueDoesNotExist')
      return { QueueUrl: urlOf(QueueName) }
    },
    CreateQueue({ QueueName, Attributes, tags: given }) {
      queues.set(QueueName, Object(Attributes))
      tags.set(QueueName, Object(given))
      return { QueueUrl: urlOf(QueueName) }
    },
    SetQueueAttributes({ QueueUrl, Attributes }) {
      const name = nameIn(QueueUrl)
      queues.set(name, { ...queues.get(name), ...Object(Attributes) })
      return {}
    },
    DeleteQueue({ QueueUrl }) {
      queues.delete(nameIn(QueueUrl))
      return {}
    },
    GetQueueAttributes({ QueueUrl }) {
      const name = nameIn(QueueUrl)
      return { Attributes: { ...queues.get(name), QueueArn: arnOf('sqs', name) } }
    },
    ListQueues({ QueueNamePrefix = '' }) {
      const names = [...queues.keys()].map(String).filter((name) => name.startsWith(String(QueueNamePrefix)))
      return { QueueUrls: names.map(urlOf) }
    },
    ListQueueTags({ QueueUrl }) {
      return { Tags: tags.get(nameIn(QueueUrl)) ?? {} }
    },
    TagQueue({ QueueUrl, Tags }) {
      const name = nameIn(QueueUrl)
      tags.set(name, { ...tags.get(name), ...Object(Tags) })
      return {}
    },
    SendMessageBatch: ({ Entries }) => ({ Successful: Entries }),
    DeleteMessageBatch: ({ Entries }) => ({ Successful: Entries }),
    ChangeMessageVisibilityBatch: ({ Entries }) => ({ Successful: Entries }),
    GetTopicAttributes({ TopicArn }) {
      if (!topics.has(TopicArn)) throw new Refusal(404, 'NotFound')
      return ''
    },
    CreateTopic({ Name }) {
      topics.add(arnOf('sns', String(Name)))
      return `<TopicArn>${arnOf('sns', String(Name))}</TopicArn>`
    },
    Subscribe(input) {
      const arn = arnOf('sns', `subscription-${subscriptions.size}`)
      subscriptions.set(arn, input)
      return `<SubscriptionArn>${arn}</SubscriptionArn>`
    },
    ListSubscriptionsByTopic({ TopicArn }) {
      const own = [...subscriptions].filter(([, each]) => each.TopicArn === TopicArn)
      const members = own.map(
        ([arn, { Endpoint }]) =>
          `<member><SubscriptionArn>${arn}</SubscriptionArn><Endpoint>${Endpoint}</Endpoint></member>`,
      )
      return `<Subscriptions>${members.join('')}</Subscriptions>`
    },
    GetSubscriptionAttributes({ SubscriptionArn }) {
      const given = subscriptions.get(SubscriptionArn) ?? {}
      const entries = [1, 2, 3].map((place) => {
        const [key, value] = ['key', 'value'].map((part) => given[`Attributes.entry.${place}.${part}`] ?? '')
        return `<entry><key>${key}</key><value>${value}</value></entry>`
      })
      return `<Attributes>${entries.join('')}</Attributes>`
    },
  }
}

/** A topic as core describes it to drivers. */
export function topicOf(
  name: string,
  groups: readonly string[],
  options: Partial<Pick<TopicSpec, 'ordered' | 'native'>> = {},
): TopicSpec & { readonly groups: readonly { readonly name: string }[] } {
  return {
    name,
    ordered: false,
    partitions: 1,
    native: {},
    ...options,
    groups: groups.map((group) => ({ name: group })),
  }
}
