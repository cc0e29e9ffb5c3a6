import { type Administration, MessagingError, type TopicSpec } from '@waybill/core/driver'
import { brokerErrorOf } from '../client/faults.ts'
import type { Gateway } from '../client/gateway.ts'
import type { Administer } from '../connection/lent-gateway.ts'
import { bookTopic, groupNames, mainTopic, topicOfBook } from '../wire/names.ts'
import type { TopicBook } from './topic-book.ts'

/**
 * What tools can do. Delayed sends cannot be cancelled, because Kafka cannot delete single records.
 */
export class KafkaAdministration implements Administration {
  readonly #administer: Administer
  readonly #bookOf: (topic: Pick<TopicSpec, 'name'>) => TopicBook

  constructor(administer: Administer, bookOf: (topic: Pick<TopicSpec, 'name'>) => TopicBook) {
    this.#administer = administer
    this.#bookOf = bookOf
  }

  async listTopics(): Promise<readonly TopicSpec[]> {
    const existing = await this.#administer('Listing topics', (gateway) => gateway.listTopics())
    const names = existing.map(topicOfBook).filter((name) => name !== undefined)
    const topics: TopicSpec[] = []
    for (const name of names) {
      const book = await this.#read({ name })
      if (book === undefined) continue
      const { ordered = false, native = {} } = book.definition ?? {}
      const main = mainTopic({ name, native })
      const partitions = await this.#administer(`Looking at topic ${main}`, (gateway) =>
        gateway.partitionCount(main),
      )
      if (partitions !== undefined) topics.push({ name, ordered, partitions, native })
    }
    return topics
  }

  /** Undefined when the topic is deleted meanwhile. */
  async #read(topic: Pick<TopicSpec, 'name'>): ReturnType<TopicBook['read']> {
    try {
      return await this.#bookOf(topic).read()
    } catch (error) {
      if (MessagingError.is(error) && error.code === 'topology-missing') return undefined
      throw error
    }
  }

  async listGroups(topic: TopicSpec): Promise<readonly string[]> {
    return (await this.#read(topic))?.groups ?? []
  }

  async deleteTopic(topic: TopicSpec): Promise<void> {
    for (const group of await this.listGroups(topic)) await this.deleteGroup(topic, group)
    await this.#administer(`Deleting topic ${topic.name}`, (gateway) =>
      deleteTopics(gateway, [mainTopic(topic), bookTopic(topic)]),
    )
  }

  async deleteGroup(topic: TopicSpec, group: string): Promise<void> {
    const { groupId, retry, delay, dead } = groupNames(topic, group)
    await this.#administer(`Deleting group ${group} of topic ${topic.name}`, async (gateway) => {
      await deleteGroup(gateway, groupId)
      await deleteTopics(gateway, [retry, delay, dead])
    })
    if ((await this.#read(topic)) !== undefined) await this.#bookOf(topic).strike(group)
  }
}

async function deleteGroup(gateway: Gateway, groupId: string): Promise<void> {
  try {
    await gateway.deleteGroup(groupId)
  } catch (error) {
    const type = brokerErrorOf(error)
    if (type === 'GROUP_ID_NOT_FOUND') return
    if (type !== 'NON_EMPTY_GROUP') throw error
    throw new MessagingError(
      'rejected',
      `Group ${groupId} has consumers; stop them all before it is deleted`,
      {
        cause: error,
        retryable: true,
      },
    )
  }
}

async function deleteTopics(gateway: Gateway, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await gateway.deleteTopics([name])
    } catch (error) {
      if (brokerErrorOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
    }
  }
}
