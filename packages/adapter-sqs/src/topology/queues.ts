import { MessagingError, type TopicSpec } from '@waybill/core/driver'
import { definedOtherwise } from '@waybill/core/driver-kit'
import {
  CreateQueueCommand,
  GetQueueUrlCommand,
  paginateListQueues,
  SetQueueAttributesCommand,
} from '../client/aws-sdk.ts'
import type { Connection } from '../connection/connection.ts'
import { Queue } from '../connection/queue.ts'
import { parseSqsTopicOptions, type SqsSettings } from '../options.ts'
import { parseReference, queueName, queueNamePrefix, type Reference } from '../wire/names.ts'
import { admitting } from '../wire/queue-policy.ts'
import { missingReference } from './missing-reference.ts'

/** The queue of a group, or the one of its dead letters. */
export interface QueueSpec {
  readonly topic: TopicSpec
  readonly group: string
  readonly dead: boolean
}

/** A queue of Waybill's, as its tags tell. */
export interface OwnQueue {
  readonly queue: Queue
  readonly topic: string
  readonly group: string
  readonly dead: boolean
}

/** Finds, creates and verifies queues; those found are cached until `forget`. */
export class Queues {
  readonly #connection: Connection
  readonly #settings: SqsSettings
  /** By name or ARN: queues of one name may be in several accounts and regions. */
  readonly #known = new Map<string, Queue>()

  constructor(connection: Connection, settings: SqsSettings) {
    this.#connection = connection
    this.#settings = settings
  }

  nameOf(spec: QueueSpec): string {
    return parseReference(this.#reference(spec)).name
  }

  /** Whether it is in our account and region as far as its name tells. */
  isNear(spec: QueueSpec): boolean {
    return parseReference(this.#reference(spec)).arn === undefined
  }

  /** Undefined where there is none. */
  async find(spec: QueueSpec): Promise<Queue | undefined> {
    const reference = this.#reference(spec)
    return this.#known.get(reference) ?? this.#look(reference)
  }

  /** @throws {MessagingError} `topology-missing`. */
  async get(spec: QueueSpec): Promise<Queue> {
    const queue = await this.find(spec)
    if (queue !== undefined) return queue
    const message = `Queue ${this.#reference(spec)} does not exist; connect with provision: 'create', or create it`
    throw new MessagingError('topology-missing', message, { fate: 'not-sent' })
  }

  /** Somebody may have deleted it: look again. */
  forget(topic: TopicSpec, group: string): void {
    for (const dead of [false, true]) this.#known.delete(this.#reference({ topic, group, dead }))
  }

  /** The name of a queue that is known to exist, and that we may therefore ask for. */
  get anyName(): string | undefined {
    for (const [reference, { name }] of this.#known) if (reference === name) return name
    return undefined
  }

  /** Creates the queue. It does not matter if another program does so at the same time. */
  async create(spec: QueueSpec, deadLetters: Queue | undefined): Promise<Queue> {
    await this.#refuseTwin(spec)
    const reference = parseReference(this.#reference(spec))
    if (reference.arn !== undefined) throw missingReference('Queue', reference.arn)
    const { name } = reference
    const { retention, tags } = this.#settings
    const command = new CreateQueueCommand({
      QueueName: name,
      Attributes: {
        MessageRetentionPeriod: String(Math.floor(retention / 1000)),
        // High throughput (Amazon SQS Developer Guide, "High throughput for FIFO queues").
        ...(spec.topic.ordered && {
          FifoQueue: 'true',
          DeduplicationScope: 'messageGroup',
          FifoThroughputLimit: 'perMessageGroupId',
        }),
        ...(deadLetters !== undefined && { RedrivePolicy: this.#redrivePolicy(deadLetters) }),
        ...this.#encryption(),
      },
      tags: { ...tags, 'waybill:topic': spec.topic.name, 'waybill:group': spec.group },
    })
    const { QueueUrl = '' } = await this.#connection.call(`Creating queue ${name}`, (options) =>
      this.#connection.sqs.send(command, options),
    )
    const queue = await this.#describe(reference, QueueUrl)
    this.#known.set(name, queue)
    return queue
  }

  /** @throws {MessagingError} `topology-mismatch` naming both sides. */
  async check(queue: Queue, deadLetters: Queue, { name, ordered }: TopicSpec): Promise<void> {
    for (const each of [queue, deadLetters]) {
      if (each.isFifo === ordered) continue
      throw definedOtherwise({
        what: `Topic ${name}`,
        ours: kind(ordered),
        theirs: `queue ${each.name}, ${kind(each.isFifo)}`,
      })
    }
    const { RedrivePolicy, KmsMasterKeyId } = await queue.attributes(['RedrivePolicy', 'KmsMasterKeyId'])
    const target = RedrivePolicy && targetOf(RedrivePolicy)
    if (target && target !== deadLetters.arn) {
      throw definedOtherwise({
        what: `Queue ${queue.name}`,
        ours: `one that moves its dead letters to ${deadLetters.arn}`,
        theirs: `one that moves them to ${target}`,
      })
    }
    const { encryption } = this.#settings
    const wanted = typeof encryption === 'object' ? encryption.kmsKeyId : undefined
    if (wanted !== undefined && wanted !== KmsMasterKeyId) {
      throw definedOtherwise({
        what: `Queue ${queue.name}`,
        ours: `encrypted with ${wanted}`,
        theirs: `encrypted with ${KmsMasterKeyId ?? 'no key of KMS'}`,
      })
    }
  }

  /** Lets the topic, and of all topics only that one, deliver into the queue. */
  async admit(queue: Queue, topicArn: string): Promise<void> {
    const { Policy } = await queue.attributes(['Policy'])
    const policy = admitting(Policy, queue.arn, topicArn)
    if (policy === undefined) return
    const command = new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes: { Policy: policy } })
    const { sqs } = this.#connection.clientsOf(queue.region)
    const what = `Letting topic ${topicArn} deliver into queue ${queue.name}`
    await this.#connection.call(what, (options) => sqs.send(command, options))
  }

  /**
   * The queues of Waybill's in our account and region that have our prefix, of one topic or of all. Only those with tags
   * count; a name alone may be anybody's.
   */
  async list(topic?: string): Promise<readonly OwnQueue[]> {
    const { prefix } = this.#settings
    const client = this.#connection.sqs
    const QueueNamePrefix = topic === undefined ? prefix : queueNamePrefix({ prefix, topic })
    const urls = await this.#connection.call(`Listing queues ${QueueNamePrefix}*`, async (options) => {
      const found: string[] = []
      const input = { MaxResults: 1000, ...(QueueNamePrefix !== '' && { QueueNamePrefix }) }
      for await (const { QueueUrls = [] } of paginateListQueues({ client }, input, options))
        found.push(...QueueUrls)
      return found
    })
    const queues: OwnQueue[] = []
    for (const url of urls) {
      const own = await this.#identify(url)
      if (own !== undefined && (topic === undefined || own.topic === topic)) queues.push(own)
    }
    return queues
  }

  /** Undefined where it is none of ours, or has just been deleted. */
  async #identify(url: string): Promise<OwnQueue | undefined> {
    const { prefix } = this.#settings
    const name = url.split('/').at(-1) ?? ''
    const nameless = this.#queue({ name, url, arn: '', region: this.#connection.region })
    try {
      const { 'waybill:topic': topic, 'waybill:group': group } = await nameless.tags()
      if (topic === undefined || group === undefined) return undefined
      const ordered = name.endsWith('.fifo')
      const dead = [false, true].find((each) => queueName({ prefix, topic, ordered }, group, each) === name)
      if (dead === undefined) return undefined
      return { queue: await this.#describe(parseReference(name), url), topic, group, dead }
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  #reference({ topic, group, dead }: QueueSpec): string {
    const { queues, deadLetterQueues } = parseSqsTopicOptions(topic)
    const { prefix } = this.#settings
    const given = (dead ? deadLetterQueues : queues)[group]
    return given ?? queueName({ prefix, topic: topic.name, ordered: topic.ordered }, group, dead)
  }

  async #look(text: string): Promise<Queue | undefined> {
    const reference = parseReference(text)
    const { name, account, region } = reference
    try {
      const command = new GetQueueUrlCommand({
        QueueName: name,
        ...(account && { QueueOwnerAWSAccountId: account }),
      })
      const { sqs } = this.#connection.clientsOf(region)
      const { QueueUrl = '' } = await this.#connection.call(`Looking for queue ${text}`, (options) =>
        sqs.send(command, options),
      )
      const queue = await this.#describe(reference, QueueUrl)
      this.#known.set(text, queue)
      return queue
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  /** @throws {MessagingError} `topology-mismatch` when the service answered for another queue of that name. */
  async #describe(
    { name, arn: wanted, region = this.#connection.region }: Reference,
    url: string,
  ): Promise<Queue> {
    const { QueueArn: arn = '' } = await this.#queue({ name, url, arn: '', region }).attributes(['QueueArn'])
    if (wanted !== undefined && wanted !== arn) {
      throw definedOtherwise({ what: `Queue ${name}`, ours: wanted, theirs: arn })
    }
    return this.#queue({ name, url, arn, region })
  }

  #queue(address: ConstructorParameters<typeof Queue>[2]): Queue {
    return new Queue(this.#connection, this.#settings.limits.queueBytes, address)
  }

  /** A topic that became ordered, or ceased to be, has other queues: its messages would be in two places. */
  async #refuseTwin(spec: QueueSpec): Promise<void> {
    const topic = { ...spec.topic, ordered: !spec.topic.ordered }
    const twin = await this.find({ ...spec, topic })
    if (twin === undefined || twin.name === this.nameOf(spec)) return
    const { name, ordered } = spec.topic
    throw definedOtherwise({
      what: `Topic ${name}`,
      ours: kind(ordered),
      theirs: `queue ${twin.name}, ${kind(!ordered)}`,
    })
  }

  #redrivePolicy(deadLetters: Queue): string {
    return JSON.stringify({
      deadLetterTargetArn: deadLetters.arn,
      maxReceiveCount: this.#settings.maxReceiveCount,
    })
  }

  #encryption(): Record<string, string> {
    const { encryption } = this.#settings
    if (encryption === undefined) return {}
    if (encryption === 'sqs') return { SqsManagedSseEnabled: 'true' }
    const { kmsKeyId, reuseSeconds } = encryption
    return {
      KmsMasterKeyId: kmsKeyId,
      ...(reuseSeconds !== undefined && { KmsDataKeyReusePeriodSeconds: String(reuseSeconds) }),
    }
  }
}

function kind(ordered: boolean): string {
  return ordered ? 'ordered (FIFO)' : 'not ordered (standard)'
}

function targetOf(redrivePolicy: string): string | undefined {
  const policy: unknown = JSON.parse(redrivePolicy)
  if (typeof policy !== 'object' || policy === null || !('deadLetterTargetArn' in policy)) return undefined
  return typeof policy.deadLetterTargetArn === 'string' ? policy.deadLetterTargetArn : undefined
}
