import type { TopicSpec } from '@waybill/core/driver'
import { type RabbitmqSettings, type TopicSettings, topicSettings } from '../options.ts'
import type { Ladder } from './delays.ts'
import { partitionOf } from './partitions.ts'

/** A broker-side object by name; `existing` ones belong to somebody else and are only checked. */
export interface Named {
  readonly name: string
  readonly existing: boolean
}

export interface Exchange extends Named {
  readonly type: 'fanout' | 'direct' | 'topic'
}

/** How a topic lies at the broker. */
export interface TopicObjects {
  readonly topic: TopicSpec
  /** Takes all messages of the topic. */
  readonly exchange: Exchange
  /** Behind one that sends everything to everybody: for those who want some types. */
  readonly filters: { readonly types: Exchange; readonly patterns: Exchange } | undefined
  /** Has a binding for every type that a group keeps, so that one can ask whether anybody does. */
  readonly kept: string
  /** A queue that keeps nothing: where those bindings lead, and those of the groups' wishes. */
  readonly sink: string
  /** For sends with a delay. */
  readonly ladder: Ladder
  readonly settings: TopicSettings
}

/** How a group of a topic lies at the broker. Names may not hold `:`, so no two groups share a queue. */
export interface GroupObjects {
  /** One for each partition of an ordered topic, one otherwise. */
  readonly queues: readonly Named[]
  readonly dead: Named
  /** An exchange with a binding for every type that a member of the group has ever asked for. */
  readonly wishes: string
  /** The way of a retry back to the queue it failed on, and to no other group. */
  readonly ladder: Ladder
}

export function describeTopic(topic: TopicSpec, all: RabbitmqSettings): TopicObjects {
  const settings = topicSettings(topic, all)
  const existing = settings.exchange !== undefined
  const name = settings.exchange ?? topic.name
  const byKey = topic.ordered || existing
  const sink = `${topic.name}:kept:void`
  const via = byKey ? name : `${name}:types`
  return {
    topic,
    exchange: { name, existing, type: byKey ? 'topic' : 'fanout' },
    filters: byKey
      ? undefined
      : {
          types: { name: `${name}:types`, existing: false, type: 'direct' },
          patterns: { name: `${name}:patterns`, existing: false, type: 'topic' },
        },
    kept: `${topic.name}:kept`,
    sink,
    ladder: { prefix: topic.name, exit: { kind: 'topic', name, via, sink } },
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
    wishes: `${base}:wishes`,
    ladder: {
      prefix: name,
      exit: topic.ordered
        ? { kind: 'queues', name: `${name}:delay:due`, queues: names }
        : { kind: 'queue', name },
    },
  }
}

/** Exists where a topic has so many partitions, or any number: it is fixed once there are queues. */
export function partitionsMark({ topic }: TopicObjects, partitions?: number): string {
  const any = `${topic.name}:partitions`
  return partitions === undefined ? any : `${any}:${partitions}`
}

/** On ordered topics the partition is the first segment, so that a topic exchange picks one queue of each group. */
export function routingKeyOf(topic: TopicSpec, type: string, key: string | undefined): string {
  return topic.ordered ? `${partitionOf(key ?? '', topic.partitions)}.${type}` : type
}

export interface Binding {
  readonly exchange: Exchange
  readonly key: string
}

/**
 * Where to bind a queue for messages of these patterns. A topic exchange costs the broker half as much again a message as
 * one of another type, so it is asked for patterns only. `partition` is undefined for a queue that wants all of them.
 */
export function bindingsOf(
  { topic, exchange, filters }: TopicObjects,
  patterns: readonly string[],
  partition: number | undefined,
): readonly Binding[] {
  const wanted = patterns.includes('#') ? ['#'] : patterns
  return wanted.map((pattern) => {
    if (filters === undefined) {
      return { exchange, key: topic.ordered ? `${partition ?? '*'}.${pattern}` : pattern }
    }
    if (pattern === '#') return { exchange, key: '' }
    return { exchange: /[*#]/.test(pattern) ? filters.patterns : filters.types, key: pattern }
  })
}
