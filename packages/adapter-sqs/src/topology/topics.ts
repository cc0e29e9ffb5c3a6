import { MessagingError, type TopicSpec } from '@waybill/core/driver'
import { definedOtherwise } from '@waybill/core/driver-kit'
import {
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  paginateListSubscriptionsByTopic,
  paginateListTopics,
  SetSubscriptionAttributesCommand,
  SubscribeCommand,
  UnsubscribeCommand,
} from '../client/aws-sdk.ts'
import type { Connection } from '../connection/connection.ts'
import type { Queue } from '../connection/queue.ts'
import { SnsTopic } from '../connection/sns-topic.ts'
import { parseSqsTopicOptions, type SqsSettings } from '../options.ts'
import { filterPolicy, widerPolicy } from '../wire/filter-policy.ts'
import { parseReference, topicArnBeside, topicName } from '../wire/names.ts'
import { missingReference } from './missing-reference.ts'

/** Finds, makes and subscribes to topics of SNS. */
export class Topics {
  readonly #connection: Connection
  readonly #settings: SqsSettings

  constructor(connection: Connection, settings: SqsSettings) {
    this.#connection = connection
    this.#settings = settings
  }

  nameOf(topic: TopicSpec): string {
    return parseReference(this.#reference(topic)).name
  }

  /** Undefined where there is none. A queue of our own account and region saves searching the list of all topics. */
  async find(topic: TopicSpec, neighbour: Queue | undefined): Promise<SnsTopic | undefined> {
    const { name, arn, region = this.#connection.region } = parseReference(this.#reference(topic))
    const known = arn ?? (neighbour && topicArnBeside(neighbour.arn, name))
    return known === undefined ? this.#search(name) : this.#confirm(name, known, region)
  }

  /** Creates the topic. It does not matter if another program does so at the same time. */
  async create(topic: TopicSpec): Promise<SnsTopic> {
    const { name, arn } = parseReference(this.#reference(topic))
    if (arn !== undefined) throw missingReference('Topic', arn)
    const { encryption, tags } = this.#settings
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
    const { TopicArn = '' } = await this.#connection.call(what, (options) =>
      this.#connection.sns.send(command, options),
    )
    return this.#topic(name, TopicArn, this.#connection.region)
  }

  async delete({ arn, name, region }: SnsTopic): Promise<void> {
    const { sns } = this.#connection.clientsOf(region)
    const command = new DeleteTopicCommand({ TopicArn: arn })
    await this.#connection.call(`Deleting topic ${name}`, (options) => sns.send(command, options))
  }

  /** The subscription of a queue, or undefined. */
  async subscription(topic: SnsTopic, queue: Queue): Promise<string | undefined> {
    const client = this.#connection.clientsOf(topic.region).sns
    return this.#connection.call(`Looking at the subscriptions of topic ${topic.name}`, async (options) => {
      const pages = paginateListSubscriptionsByTopic({ client }, { TopicArn: topic.arn }, options)
      for await (const { Subscriptions = [] } of pages) {
        const found = Subscriptions.find(({ Endpoint }) => Endpoint === queue.arn)
        if (found?.SubscriptionArn !== undefined) return found.SubscriptionArn
      }
      return undefined
    })
  }

  async subscribe(
    topic: SnsTopic,
    queue: Queue,
    types: readonly string[],
    deadLetters: Queue | undefined,
  ): Promise<void> {
    const policy = filterPolicy(types)
    const redrive = redrivePolicy(topic, queue, deadLetters)
    const command = new SubscribeCommand({
      TopicArn: topic.arn,
      Protocol: 'sqs',
      Endpoint: queue.arn,
      ReturnSubscriptionArn: true,
      Attributes: {
        RawMessageDelivery: 'true',
        ...(policy !== undefined && { FilterPolicy: policy }),
        ...(redrive !== undefined && { RedrivePolicy: redrive }),
      },
    })
    const { sns } = this.#connection.clientsOf(topic.region)
    const what = `Subscribing queue ${queue.name} to topic ${topic.name}`
    await this.#connection.call(what, (options) => sns.send(command, options))
  }

  async unsubscribe(topic: SnsTopic, queue: Queue): Promise<void> {
    const subscription = await this.subscription(topic, queue)
    if (subscription === undefined) return
    const { sns } = this.#connection.clientsOf(topic.region)
    const command = new UnsubscribeCommand({ SubscriptionArn: subscription })
    const what = `Unsubscribing queue ${queue.name} from topic ${topic.name}`
    await this.#connection.call(what, (options) => sns.send(command, options))
  }

  /**
   * Checks a subscription that exists, and lets it get more types than before where it must. Changes of a filter policy
   * take up to 15 minutes (Amazon SNS Developer Guide, "Message filtering").
   */
  async widen(
    { subscription, topic, queue, deadLetters }: Subscribed,
    types: readonly string[],
    mayChange: boolean,
  ): Promise<void> {
    const { sns } = this.#connection.clientsOf(topic.region)
    const command = new GetSubscriptionAttributesCommand({ SubscriptionArn: subscription })
    const what = `Looking at the subscription of queue ${queue.name}`
    const { Attributes = {} } = await this.#connection.call(what, (options) => sns.send(command, options))
    if (Attributes.RawMessageDelivery !== 'true') {
      throw definedOtherwise({
        what: `The subscription of queue ${queue.name}`,
        ours: 'one with raw message delivery',
        theirs: 'one that wraps messages',
      })
    }
    if (!mayChange) return
    const change = async (AttributeName: string, AttributeValue: string) => {
      const set = new SetSubscriptionAttributesCommand({
        SubscriptionArn: subscription,
        AttributeName,
        AttributeValue,
      })
      const changing = `Changing the ${AttributeName} of queue ${queue.name}'s subscription`
      await this.#connection.call(changing, (options) => sns.send(set, options))
    }
    const redrive = redrivePolicy(topic, queue, deadLetters)
    if (redrive !== undefined && !Attributes.RedrivePolicy) await change('RedrivePolicy', redrive)
    const current = Attributes.FilterPolicy
    if (!current || current === '{}') return
    const wanted = widerPolicy(current, filterPolicy(types))
    if (wanted !== current) await change('FilterPolicy', wanted ?? '{}')
  }

  #reference(topic: TopicSpec): string {
    const { prefix } = this.#settings
    const own = topicName({ prefix, topic: topic.name, ordered: topic.ordered })
    return parseSqsTopicOptions(topic).topic ?? own
  }

  #topic(name: string, arn: string, region: string): SnsTopic {
    return new SnsTopic(this.#connection, this.#settings.limits.topicBytes, { name, arn, region })
  }

  async #confirm(name: string, arn: string, region: string): Promise<SnsTopic | undefined> {
    const { sns } = this.#connection.clientsOf(region)
    try {
      const command = new GetTopicAttributesCommand({ TopicArn: arn })
      await this.#connection.call(`Looking for topic ${name}`, (options) => sns.send(command, options))
      return this.#topic(name, arn, region)
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  #search(name: string): Promise<SnsTopic | undefined> {
    const { sns: client, region } = { sns: this.#connection.sns, region: this.#connection.region }
    return this.#connection.call(`Looking for topic ${name}`, async (options) => {
      for await (const { Topics = [] } of paginateListTopics({ client }, {}, options)) {
        const arn = Topics.find(({ TopicArn }) => TopicArn?.endsWith(`:${name}`))?.TopicArn
        if (arn !== undefined) return this.#topic(name, arn, region)
      }
      return undefined
    })
  }
}

export interface Subscribed {
  readonly subscription: string
  readonly topic: SnsTopic
  readonly queue: Queue
  readonly deadLetters: Queue | undefined
}

/**
 * What SNS cannot deliver into the queue goes to the group's dead letters, which must be in the account and region of the
 * subscription (Amazon SNS Developer Guide, "Dead-letter queues"); undefined where they are elsewhere.
 */
function redrivePolicy(topic: SnsTopic, queue: Queue, deadLetters: Queue | undefined): string | undefined {
  const placeOf = (arn: string) => arn.split(':').slice(3, 5).join(':')
  if (deadLetters === undefined || placeOf(deadLetters.arn) !== placeOf(topic.arn)) return undefined
  return placeOf(queue.arn) === placeOf(topic.arn)
    ? JSON.stringify({ deadLetterTargetArn: deadLetters.arn })
    : undefined
}
