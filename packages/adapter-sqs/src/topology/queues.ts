import { CreateQueueCommand, GetQueueUrlCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs'
import { MessagingError, type TopicSpec } from '@waybill/core/driver'
import type { Clients } from '../connection/clients.ts'
import { type Options, readTopicOptions } from '../options.ts'
import { Queue } from '../sending/queue.ts'
import { parseReference, queueName } from '../wire/names.ts'
import { admitting } from '../wire/queue-policy.ts'

/** The queue of a group, or the one of its dead letters. */
export interface QueueSpec {
  readonly topic: TopicSpec
  readonly group: string
  readonly dead: boolean
}

/** Finds, makes and checks queues; those found are remembered until they are forgotten. */
export class Queues {
  readonly #clients: Clients
  readonly #options: Options
  readonly #known = new Map<string, Queue>()

  constructor(clients: Clients, options: Options) {
    this.#clients = clients
    this.#options = options
  }

  nameOf(spec: QueueSpec): string {
    return parseReference(this.#reference(spec)).name
  }

  /** Undefined where there is none. */
  async find(spec: QueueSpec): Promise<Queue | undefined> {
    const { name, account } = parseReference(this.#reference(spec))
    const known = this.#known.get(name)
    return known ?? this.#look(name, account)
  }

  /** @throws {MessagingError} `topology-missing`. */
  async get(spec: QueueSpec): Promise<Queue> {
    const queue = await this.find(spec)
    if (queue !== undefined) return queue
    const message = `Queue ${this.nameOf(spec)} does not exist; connect with provision: 'create', or create it`
    throw new MessagingError('topology-missing', message, { fate: 'not-sent' })
  }

  /** Somebody may have deleted it: look again. */
  forget(topic: TopicSpec, group: string): void {
    for (const dead of [false, true]) this.#known.delete(this.nameOf({ topic, group, dead }))
  }

  /** Makes the queue; somebody else who makes it meanwhile does not matter. */
  async create(spec: QueueSpec, deadLetters: Queue | undefined): Promise<Queue> {
    await this.#refuseTwin(spec)
    const name = this.nameOf(spec)
    refuseToMake('Queue', this.#reference(spec), name)
    const { retention, tags } = this.#options
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
    const { QueueUrl = '' } = await this.#clients.call(`Creating queue ${name}`, (options) =>
      this.#clients.sqs.send(command, options),
    )
    return this.#know(name, QueueUrl)
  }

  /** @throws {MessagingError} `topology-mismatch` naming both sides. */
  async check(queue: Queue, deadLetters: Queue, { name, ordered }: TopicSpec): Promise<void> {
    for (const each of [queue, deadLetters]) {
      if (each.isFifo === ordered) continue
      throw mismatch(`Topic ${name} is ${kind(ordered)}, but its queue ${each.name} is ${kind(each.isFifo)}`)
    }
    const { RedrivePolicy, KmsMasterKeyId } = await queue.attributes(['RedrivePolicy', 'KmsMasterKeyId'])
    const target = RedrivePolicy && targetOf(RedrivePolicy)
    if (target && target !== deadLetters.arn) {
      throw mismatch(`Queue ${queue.name} moves its dead letters to ${target}, not to ${deadLetters.arn}`)
    }
    const { encryption } = this.#options
    const wanted = typeof encryption === 'object' ? encryption.kmsKeyId : undefined
    if (wanted !== undefined && wanted !== KmsMasterKeyId) {
      throw mismatch(
        `Queue ${queue.name} is encrypted with ${KmsMasterKeyId ?? 'no key of KMS'}, not with ${wanted}`,
      )
    }
  }

  /** Lets the topic, and of all topics only that one, deliver into the queue. */
  async admit(queue: Queue, topicArn: string): Promise<void> {
    const { Policy } = await queue.attributes(['Policy'])
    const policy = admitting(Policy, queue.arn, topicArn)
    if (policy === undefined) return
    const command = new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes: { Policy: policy } })
    const what = `Letting topic ${topicArn} deliver into queue ${queue.name}`
    await this.#clients.call(what, (options) => this.#clients.sqs.send(command, options))
  }

  #reference({ topic, group, dead }: QueueSpec): string {
    const { queues, deadLetterQueues } = readTopicOptions(topic)
    const { prefix } = this.#options
    const given = (dead ? deadLetterQueues : queues)[group]
    return given ?? queueName({ prefix, topic: topic.name, ordered: topic.ordered }, group, dead)
  }

  async #look(name: string, account: string | undefined): Promise<Queue | undefined> {
    try {
      const command = new GetQueueUrlCommand({
        QueueName: name,
        ...(account && { QueueOwnerAWSAccountId: account }),
      })
      const { QueueUrl = '' } = await this.#clients.call(`Looking for queue ${name}`, (options) =>
        this.#clients.sqs.send(command, options),
      )
      return await this.#know(name, QueueUrl)
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  async #know(name: string, url: string): Promise<Queue> {
    const { queueBytes } = this.#options.limits
    const unnamed = new Queue(this.#clients, queueBytes, { name, url, arn: '' })
    const { QueueArn: arn = '' } = await unnamed.attributes(['QueueArn'])
    const queue = new Queue(this.#clients, queueBytes, { name, url, arn })
    this.#known.set(name, queue)
    return queue
  }

  /** A topic that became ordered, or ceased to be, has other queues: its messages would be in two places. */
  async #refuseTwin(spec: QueueSpec): Promise<void> {
    const topic = { ...spec.topic, ordered: !spec.topic.ordered }
    const twin = await this.find({ ...spec, topic })
    if (twin === undefined || twin.name === this.nameOf(spec)) return
    const { name, ordered } = spec.topic
    throw mismatch(
      `Topic ${name} is ${kind(ordered)}, but queue ${twin.name} exists and is ${kind(!ordered)}`,
    )
  }

  #redrivePolicy(deadLetters: Queue): string {
    return JSON.stringify({
      deadLetterTargetArn: deadLetters.arn,
      maxReceiveCount: this.#options.maxReceiveCount,
    })
  }

  #encryption(): Record<string, string> {
    const { encryption } = this.#options
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

/** An ARN may lead to another account or region, where we make nothing. */
export function refuseToMake(what: string, reference: string, name: string): void {
  if (reference === name) return
  const message = `${what} ${reference} does not exist, and what is named by its ARN is not made; create it, or name it`
  throw new MessagingError('topology-missing', message, { fate: 'not-sent' })
}

export function mismatch(message: string): MessagingError {
  return new MessagingError('topology-mismatch', message, { fate: 'not-sent' })
}

function targetOf(redrivePolicy: string): string | undefined {
  const policy: unknown = JSON.parse(redrivePolicy)
  if (typeof policy !== 'object' || policy === null || !('deadLetterTargetArn' in policy)) return undefined
  return typeof policy.deadLetterTargetArn === 'string' ? policy.deadLetterTargetArn : undefined
}
