import type { TopicSpec } from '@waybill/core/driver'
import { parseRedisTopicOptions, type RedisSettings } from '../options.ts'
import { type TopicKeys, topicKeys } from '../wire/names.ts'
import { Housekeeping, type HousekeepingSettings } from './housekeeping.ts'

/** A topic as this driver works with it. */
export interface KnownTopic {
  readonly name: string
  readonly ordered: boolean
  readonly keys: TopicKeys
  readonly mode: 'stream' | 'notices'
  readonly retention: RedisSettings['retention']
  /** 0: off. */
  readonly deduplicationMs: number
  readonly durability: RedisSettings['durability']
  /** What producers do, in case the topic has no consumers. */
  readonly housekeeping: Housekeeping
}

/** What the options of each topic come to, looked at once. */
export class KnownTopics {
  readonly #settings: RedisSettings
  readonly #parts: Pick<HousekeepingSettings, 'clock' | 'shared' | 'emit'>
  readonly #known = new WeakMap<TopicSpec, KnownTopic>()

  constructor(settings: RedisSettings, parts: Pick<HousekeepingSettings, 'clock' | 'shared' | 'emit'>) {
    this.#settings = settings
    this.#parts = parts
  }

  /** @throws {ConfigurationError} listing every problem of the topic's options. */
  of(topic: TopicSpec): KnownTopic {
    const found = this.#known.get(topic)
    if (found !== undefined) return found
    const { mode, deduplication, ...own } = parseRedisTopicOptions(topic, this.#settings)
    const keys = topicKeys(this.#settings.prefix, topic)
    const retention = own.retention ?? this.#settings.retention
    const deduplicationMs = deduplication ?? this.#settings.deduplication ?? 0
    const known: KnownTopic = {
      ...{ name: topic.name, ordered: topic.ordered, keys, mode, retention, deduplicationMs },
      durability: own.durability ?? this.#settings.durability,
      housekeeping: new Housekeeping({ ...this.#parts, keys, group: undefined, retention, deduplicationMs }),
    }
    this.#known.set(topic, known)
    return known
  }
}
