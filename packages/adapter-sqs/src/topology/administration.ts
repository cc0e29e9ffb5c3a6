import { type Administration, MessagingError, type TopicSpec } from '@waybill/core/driver'
import { DeleteQueueCommand } from '../client/aws-sdk.ts'
import type { Connection } from '../connection/connection.ts'
import type { Queue } from '../connection/queue.ts'
import type { ServiceTopology } from './topology.ts'

/** What exists, as the tags of queues tell: in our account and region, with our prefix. */
export class SqsAdministration implements Administration {
  readonly #connection: Connection
  readonly #topology: ServiceTopology

  constructor(connection: Connection, topology: ServiceTopology) {
    this.#connection = connection
    this.#topology = topology
  }

  async listTopics(): Promise<readonly TopicSpec[]> {
    const topics = new Map<string, TopicSpec>()
    for (const { topic, queue } of await this.#topology.queues.list()) {
      topics.set(topic, { name: topic, ordered: queue.isFifo, partitions: 1, native: {} })
    }
    return [...topics.values()]
  }

  async listGroups({ name }: TopicSpec): Promise<readonly string[]> {
    const queues = await this.#topology.queues.list(name)
    return [...new Set(queues.filter(({ dead }) => !dead).map(({ group }) => group))]
  }

  async deleteTopic(topic: TopicSpec): Promise<void> {
    const groups = new Set((await this.#topology.queues.list(topic.name)).map(({ group }) => group))
    for (const group of groups) await this.deleteGroup(topic, group)
    const found = await this.#topology.fanOutOf(topic)
    if (found !== undefined) await this.#topology.topics.delete(found)
    this.#topology.forget(topic)
  }

  async deleteGroup(topic: TopicSpec, group: string): Promise<void> {
    const { queues, topics } = this.#topology
    queues.forget(topic, group)
    const [queue, deadLetters] = await Promise.all(
      [false, true].map((dead) => queues.find({ topic, group, dead })),
    )
    const sns = await this.#topology.fanOutOf(topic)
    if (sns !== undefined && queue !== undefined) await topics.unsubscribe(sns, queue)
    for (const each of [queue, deadLetters]) if (each !== undefined) await this.#delete(each)
    this.#topology.forget(topic)
    queues.forget(topic, group)
  }

  async #delete({ name, url, region }: Queue): Promise<void> {
    const { sqs } = this.#connection.clientsOf(region)
    const command = new DeleteQueueCommand({ QueueUrl: url })
    try {
      await this.#connection.call(`Deleting queue ${name}`, (options) => sqs.send(command, options))
    } catch (error) {
      if (!MessagingError.is(error) || error.code !== 'topology-missing') throw error
    }
  }
}
