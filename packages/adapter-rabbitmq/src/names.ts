import type { TopicSpec } from '@waybill/core/driver'
import type { Ladder } from './delays.ts'
import { type Settings, type TopicSettings, topicSettings } from './options.ts'
import { partitionOf } from './partitions.ts'

/** A broker-side object by name; `existing` ones belong to somebody else and are only checked. */
export interface Named {
  readonly name: string
  readonly existing: boolean
}

/** How a topic lies at the broker. */
export interface TopicObjects {
  readonly topic: TopicSpec
  readonly exchange: Named
  /** For sends with a delay. */
  readonly ladder: Ladder
  readonly settings: TopicSettings
}

/** How a group of a topic lies at the broker. Names may not hold `:`, so no two groups share a queue. */
export interface GroupObjects {
  /** One for each partition of an ordered topic, one otherwise. */
  readonly queues: readonly Named[]
  readonly dead: Named
}

export function describeTopic(topic: TopicSpec, all: Settings): TopicObjects {
  const settings = topicSettings(topic, all)
  const name = settings.exchange ?? topic.name
  return {
    topic,
    exchange: { name, existing: settings.exchange !== undefined },
    ladder: { prefix: topic.name, exit: { kind: 'exchange', name } },
    settings,
  }
}

export function describeGroup({ topic, settings }: TopicObjects, group: string): GroupObjects {
  const { queue, deadLetterQueue } = settings.groups?.[group] ?? {}
  const base = `${topic.name}:${group}`
  const name = queue ?? base
  const names = topic.ordered
    ? Array.from({ length: topic.partitions }, (_, partition) => `${name}:${partition}`)
    : [name]
  return {
    queues: names.map((each) => ({ name: each, existing: queue !== undefined })),
    dead: { name: deadLetterQueue ?? `${base}:dead`, existing: deadLetterQueue !== undefined },
  }
}

/** The way of a retry back to the queue it failed on, and to no other group. */
export function ladderOf(queue: string): Ladder {
  return { prefix: queue, exit: { kind: 'queue', name: queue } }
}

/** On ordered topics the partition is the first segment, so that a topic exchange picks one queue of each group. */
export function routingKeyOf(topic: TopicSpec, type: string, key: string | undefined): string {
  return topic.ordered ? `${partitionOf(key ?? '', topic.partitions)}.${type}` : type
}

/** The binding key of a group's pattern. `partition` is undefined for a queue that wants all of them. */
export function bindingKeyOf(topic: TopicSpec, pattern: string, partition: number | undefined): string {
  return topic.ordered ? `${partition ?? '*'}.${pattern}` : pattern
}
