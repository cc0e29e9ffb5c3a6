import type { Broker } from 'kafkajs'
import { leaveGroup } from './broker-requests.ts'

/** Where a group stands in a partition, as the broker has it. */
export interface CommittedOffset {
  readonly partition: number
  /** -1 without a commit. */
  readonly offset: number
  readonly metadata: string | null
}

export interface PartitionCommit {
  readonly partition: number
  readonly offset: string
  readonly metadata: string
}

export interface TopicCommits {
  readonly topic: string
  readonly partitions: readonly PartitionCommit[]
}

/** A member's commit is fenced by its generation; without one it is accepted only while the group has no members. */
export interface Membership {
  readonly memberId: string
  readonly generation: number
}

const noMember: Membership = { memberId: '', generation: -1 }

/** The broker that keeps a group's offsets, asked past kafkajs's consumer. */
export class GroupCoordinator {
  readonly #find: (request: { readonly groupId: string }) => Promise<Broker>
  readonly #groupId: string
  #broker: Broker | undefined

  constructor(find: (request: { readonly groupId: string }) => Promise<Broker>, groupId: string) {
    this.#find = find
    this.#groupId = groupId
  }

  /** Never repeated: what failed may belong to somebody else by now. */
  async commit(
    topics: readonly TopicCommits[],
    { memberId, generation }: Membership = noMember,
  ): Promise<void> {
    const groupId = this.#groupId
    await this.#ask((broker) =>
      broker.offsetCommit({
        groupId,
        groupGenerationId: generation,
        memberId,
        topics: topics.map(({ topic, partitions }) => ({ topic, partitions: [...partitions] })),
      }),
    )
  }

  /** By topic. */
  async committed(
    topics: Readonly<Record<string, readonly number[]>>,
  ): Promise<Map<string, readonly CommittedOffset[]>> {
    const groupId = this.#groupId
    // The client's type wants the offsets that are asked for.
    const wanted = Object.entries(topics).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map((partition) => ({ partition, offset: '' })),
    }))
    const { responses } = await this.#ask((broker) => broker.offsetFetch({ groupId, topics: wanted }))
    return new Map(
      responses.map(({ topic, partitions }) => [
        topic,
        partitions.map((each) => ({
          partition: each.partition,
          offset: Number(each.offset),
          metadata: 'metadata' in each && typeof each.metadata === 'string' ? each.metadata : null,
        })),
      ]),
    )
  }

  /** Removes a member that could not leave by itself. */
  async dismiss(memberId: string): Promise<void> {
    await this.#ask((broker) => leaveGroup(broker, this.#groupId, memberId))
  }

  async #ask<Answer>(question: (broker: Broker) => Promise<Answer>): Promise<Answer> {
    try {
      this.#broker ??= await this.#find({ groupId: this.#groupId })
      return await question(this.#broker)
    } catch (error) {
      this.#broker = undefined
      throw error
    }
  }
}
