import {
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  paginateListSubscriptionsByTopic,
  paginateListTopics,
  SetSubscriptionAttributesCommand,
  SubscribeCommand,
} from '@aws-sdk/client-sns'
import { MessagingError, type TopicSpec } from '@waybill/core/driver'
import type { Clients } from '../connection/clients.ts'
import { type Options, readTopicOptions } from '../options.ts'
import { FanOut } from '../sending/fan-out.ts'
import type { Queue } from '../sending/queue.ts'
import { filterPolicy, widerPolicy } from '../wire/filter-policy.ts'
import { parseReference, topicArnBeside, topicName } from '../wire/names.ts'
import { mismatch, refuseToMake } from './queues.ts'

/** Finds, makes and subscribes to topics of SNS. */
export class Topics {
  readonly #clients: Clients
  readonly #options: Options

  constructor(clients: Clients, options: Options) {
    this.#clients = clients
    this.#options = options
  }

  nameOf(topic: TopicSpec): string {
    return parseReference(this.#reference(topic)).name
  }

  /** Undefined where there is none. A queue of the same account saves searching the list of all topics. */
  async find(topic: TopicSpec, neighbour: Queue | undefined): Promise<FanOut | undefined> {
    const reference = this.#reference(topic)
    const name = this.nameOf(topic)
    if (reference !== name) return this.#confirm(name, reference)
    const arn = neighbour && topicArnBeside(neighbour.arn, name)
    return arn === undefined ? this.#search(name) : this.#confirm(name, arn)
  }

  /** Makes the topic; it does not matter if somebody else has made it meanwhile. */
  async create(topic: TopicSpec): Promise<FanOut> {
    const name = this.nameOf(topic)
    refuseToMake('Topic', this.#reference(topic), name)
    const { encryption, tags } = this.#options
    const command = new CreateTopicCommand({
      Name: name,
      Attributes: {
        // High throughput (Amazon SNS Developer Guide, "High throughput for FIFO topics").
        ...(topic.ordered && {
          FifoTopic: 'true',
          ContentBasedDeduplication: 'false',
          FifoThroughputScope: 'MessageGroup',
        }),
        ...(typeof encryption === 'object' && { KmsMasterKeyId: encryption.kmsKeyId }),
      },
      Tags: Object.entries({ ...tags, 'waybill:topic': topic.name }).map(([Key, Value]) => ({ Key, Value })),
    })
    const what = `Creating topic ${name}`
    const { TopicArn = '' } = await this.#clients.call(what, (options) =>
      this.#clients.sns.send(command, options),
    )
    return this.#fanOut(name, TopicArn)
  }

  /** The subscription of a queue, or undefined. */
  async subscription(topic: FanOut, queue: Queue): Promise<string | undefined> {
    const client = this.#clients.sns
    return this.#clients.call(`Looking at the subscriptions of topic ${topic.name}`, async (options) => {
      const pages = paginateListSubscriptionsByTopic({ client }, { TopicArn: topic.arn }, options)
      for await (const { Subscriptions = [] } of pages) {
        const found = Subscriptions.find(({ Endpoint }) => Endpoint === queue.arn)
        if (found?.SubscriptionArn !== undefined) return found.SubscriptionArn
      }
      return undefined
    })
  }

  async subscribe(topic: FanOut, queue: Queue, types: readonly string[]): Promise<void> {
    const policy = filterPolicy(types)
    const command = new SubscribeCommand({
      TopicArn: topic.arn,
      Protocol: 'sqs',
      Endpoint: queue.arn,
      ReturnSubscriptionArn: true,
      Attributes: { RawMessageDelivery: 'true', ...(policy !== undefined && { FilterPolicy: policy }) },
    })
    const what = `Subscribing queue ${queue.name} to topic ${topic.name}`
    await this.#clients.call(what, (options) => this.#clients.sns.send(command, options))
  }

  /**
   * Checks a subscription that exists, and lets it get more types than before where it must. Changes of a filter policy
   * take up to 15 minutes (Amazon SNS Developer Guide, "Message filtering").
   */
  async widen(
    subscription: string,
    queue: Queue,
    types: readonly string[],
    mayChange: boolean,
  ): Promise<void> {
    const what = `Looking at the subscription of queue ${queue.name}`
    const command = new GetSubscriptionAttributesCommand({ SubscriptionArn: subscription })
    const { Attributes = {} } = await this.#clients.call(what, (options) =>
      this.#clients.sns.send(command, options),
    )
    if (Attributes.RawMessageDelivery !== 'true') {
      throw mismatch(`The subscription of queue ${queue.name} wraps messages; it needs raw message delivery`)
    }
    const current = Attributes.FilterPolicy
    if (!current || current === '{}') return
    const wanted = widerPolicy(current, filterPolicy(types))
    if (wanted === current || !mayChange) return
    const change = new SetSubscriptionAttributesCommand({
      SubscriptionArn: subscription,
      AttributeName: 'FilterPolicy',
      AttributeValue: wanted ?? '{}',
    })
    await this.#clients.call(`Widening the filter of queue ${queue.name}`, (options) =>
      this.#clients.sns.send(change, options),
    )
  }

  #reference(topic: TopicSpec): string {
    const { prefix } = this.#options
    return readTopicOptions(topic).topic ?? topicName({ prefix, topic: topic.name, ordered: topic.ordered })
  }

  #fanOut(name: string, arn: string): FanOut {
    return new FanOut(this.#clients, this.#options.limits.topicBytes, { name, arn })
  }

  async #confirm(name: string, arn: string): Promise<FanOut | undefined> {
    try {
      const command = new GetTopicAttributesCommand({ TopicArn: arn })
      await this.#clients.call(`Looking for topic ${name}`, (options) =>
        this.#clients.sns.send(command, options),
      )
      return this.#fanOut(name, arn)
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  #search(name: string): Promise<FanOut | undefined> {
    const client = this.#clients.sns
    return this.#clients.call(`Looking for topic ${name}`, async (options) => {
      for await (const { Topics = [] } of paginateListTopics({ client }, {}, options)) {
        const arn = Topics.find(({ TopicArn }) => TopicArn?.endsWith(`:${name}`))?.TopicArn
        if (arn !== undefined) return this.#fanOut(name, arn)
      }
      return undefined
    })
  }
}
