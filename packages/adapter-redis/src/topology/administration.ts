import type { Administration, TopicSpec } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { type GroupKeys, groupKeys, registryKey, topicKeys } from '../wire/names.ts'
import { asArray, asNumber, asUtf8 } from '../wire/reply.ts'
import { type ApplySettings, seenAs } from './apply.ts'

/** What there is, for people who have no definitions; and what they remove. */
export class RedisAdministration implements Administration {
  readonly #shared: SharedConnection
  readonly #prefix: string
  readonly #seen: Set<string>

  constructor({ shared, prefix, seen }: Pick<ApplySettings, 'shared' | 'prefix' | 'seen'>) {
    this.#shared = shared
    this.#prefix = prefix
    this.#seen = seen
  }

  async listTopics(): Promise<readonly TopicSpec[]> {
    const names = asArray(await this.#shared.call('SMEMBERS', registryKey(this.#prefix))).map(asUtf8)
    const found = await Promise.all(names.sort().map((name) => this.#describe(name)))
    return found.flatMap((topic) => topic ?? [])
  }

  async listGroups(topic: TopicSpec): Promise<readonly string[]> {
    const { groups } = topicKeys(this.#prefix, topic)
    return asArray(await this.#shared.call('SMEMBERS', groups))
      .map(asUtf8)
      .sort()
  }

  async deleteTopic(topic: TopicSpec): Promise<void> {
    const keys = topicKeys(this.#prefix, topic)
    for (const group of await this.listGroups(topic)) await this.deleteGroup(topic, group)
    const { topic: made, delayed, delayedEntries, delayedIds, heldKeys, sent, groups, tidied } = keys
    const single = [made, delayed, delayedEntries, delayedIds, heldKeys, sent, groups, tidied]
    await this.#shared.call('UNLINK', ...keys.streams, ...single)
    await this.#shared.call('SREM', registryKey(this.#prefix), topic.name)
  }

  async deleteGroup(topic: TopicSpec, group: string): Promise<void> {
    const keys = topicKeys(this.#prefix, topic)
    for (const stream of keys.streams) {
      if (asNumber(await this.#shared.call('EXISTS', stream)) === 1)
        await this.#shared.call('XGROUP', 'DESTROY', stream, group)
    }
    await this.#shared.call('UNLINK', ...keysOf(groupKeys(keys, group)))
    await this.#shared.call('SREM', keys.groups, group)
    // Made again, it is a new one.
    this.#seen.delete(seenAs(topic, group))
  }

  async cancelDelayed(topic: TopicSpec, id: string): Promise<boolean> {
    const { delayed, delayedEntries, delayedIds, heldKeys } = topicKeys(this.#prefix, topic)
    const keys = { delayed, delayedEntries, delayedIds, heldKeys }
    const { fields } = await this.#shared.run('cancelDelayed', { keys, args: { id } })
    return asNumber(fields.cancelled) > 0
  }

  /** Undefined when the topic is gone. */
  async #describe(name: string): Promise<TopicSpec | undefined> {
    const { topic } = topicKeys(this.#prefix, { name, ordered: false, partitions: 1 })
    const [ordered, partitions] = asArray(await this.#shared.call('HMGET', topic, 'ordered', 'partitions'))
    if (ordered === null || ordered === undefined) return undefined
    return {
      name,
      ordered: asUtf8(ordered) === '1',
      partitions: Math.max(1, asNumber(partitions)),
      native: {},
    }
  }
}

function keysOf(keys: GroupKeys): readonly string[] {
  const { own, delayed, delayedEntries, dead, deadIndex, wishes } = keys
  const { members, seen, connections, owners, tidied, watched } = keys
  return [
    ...[...own, delayed, delayedEntries, dead, deadIndex, wishes],
    ...[members, seen, connections, owners, tidied, watched],
  ]
}
