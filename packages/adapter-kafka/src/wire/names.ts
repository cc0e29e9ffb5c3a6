import { createHash } from 'node:crypto'
import type { TopicSpec } from '@waybill/core/driver'

/** The Kafka objects of a group of a topic. */
export interface GroupNames {
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

export function groupNames({ name: topic }: Pick<TopicSpec, 'name'>, group: string): GroupNames {
  const ambiguous = [topic, group].some((part) => part.includes(joint) || part.endsWith('.'))
  const digest = createHash('sha256').update(`${topic}\n${group}`).digest('hex').slice(0, 8)
  const base = `${topic}${joint}${group}${ambiguous ? `${joint}${digest}` : ''}`
  return {
    groupId: `${topic}:${group}`,
    retry: `${base}${joint}retry`,
    delay: `${base}${joint}delay`,
    dead: `${base}${joint}dead`,
  }
}

/** The consumer group of one broadcast subscription; deleted with it. */
export function broadcastGroupId({ name }: Pick<TopicSpec, 'name'>, group: string, instance: string): string {
  return `${name}:${group}:${instance}`
}
