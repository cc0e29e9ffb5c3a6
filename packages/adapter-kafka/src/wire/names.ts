import type { TopicSpec } from '@waybill/core/driver'
import { digestOf } from '@waybill/core/driver-kit'
import { parseTopicOptions } from '../options.ts'

/** The Kafka objects of a group of a topic. */
export interface GroupNames {
  /** The topic itself. */
  readonly main: string
  /** The consumer group. */
  readonly groupId: string
  /** Retries and replayed dead letters that are due soon. */
  readonly retry: string
  /** Retries and delayed sends with more time left; one partition a waiting time. */
  readonly delay: string
  readonly dead: string
}

// Core's names may hold letters, digits, `.`, `_` and `-`, as Kafka's topics may, and no more: two dots join, and where
// that would be ambiguous a digest of both names is added.
const joint = '..'

/** By what the topic's options say of existing objects, otherwise after topic and group. */
export function groupNames(spec: Pick<TopicSpec, 'name' | 'native'>, group: string): GroupNames {
  const { name: topic } = spec
  const { topic: main = topic, groups } = parseTopicOptions(spec)
  const ambiguous = [topic, group].some((part) => part.includes(joint) || part.endsWith('.'))
  const base = `${topic}${joint}${group}${ambiguous ? `${joint}${digestOf([`${topic}\n${group}`], 8)}` : ''}`
  const existing = Object.hasOwn(groups, group) ? groups[group] : undefined
  return {
    main,
    groupId: existing?.groupId ?? `${topic}:${group}`,
    retry: existing?.retryTopic ?? `${base}${joint}retry`,
    delay: existing?.delayTopic ?? `${base}${joint}delay`,
    dead: existing?.deadLetterTopic ?? `${base}${joint}dead`,
  }
}

/** The consumer group of one broadcast subscription; deleted with it. */
export function broadcastGroupId(groupId: string, instance: string): string {
  return `${groupId}:${instance}`
}

/** The Kafka topic of a topic. */
export function mainTopic(topic: Pick<TopicSpec, 'name' | 'native'>): string {
  return parseTopicOptions(topic).topic ?? topic.name
}

const bookSuffix = `${joint}groups`

/** Where a topic's groups and what they ever asked for are kept. */
export function bookTopic({ name }: Pick<TopicSpec, 'name'>): string {
  return `${name}${bookSuffix}`
}

/** The topic of which this is the book; undefined for other names. */
export function topicOfBook(name: string): string | undefined {
  return name.endsWith(bookSuffix) ? name.slice(0, -bookSuffix.length) : undefined
}
