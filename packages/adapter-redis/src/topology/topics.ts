import type { TopicSpec } from '@waybill/core/driver'
import { parseTopicSettings, type Settings } from '../options.ts'
import { type TopicKeys, topicKeys } from '../wire/messages.ts'
import { Housekeeping, type HousekeepingSettings } from './housekeeping.ts'

/** A topic as this driver works with it. */
export interface KnownTopic {
  readonly keys: TopicKeys
  readonly mode: 'stream' | 'notices'
  readonly retention: Settings['retention']
  /** 0: off. */
  readonly deduplicationMs: number
  readonly durability: Settings['durability']
  /** What producers do, in case the topic has no consumers. */
  readonly housekeeping: Housekeeping
}

/** What the options of each topic come to, looked at once. */
export class Topics {
  readonly #settings: Settings
  readonly #parts: Pick<HousekeepingSettings, 'clock' | 'run'>
  readonly #known = new WeakMap<TopicSpec, KnownTopic>()

  constructor(settings: Settings, parts: Pick<HousekeepingSettings, 'clock' | 'run'>) {
    this.#settings = settings
    this.#parts = parts
  }

  /** @throws {ConfigurationError} listing every problem of the topic's options. */
  of(topic: TopicSpec): KnownTopic {
    const found = this.#known.get(topic)
    if (found !== undefined) return found
    const { mode, deduplication, ...own } = parseTopicSettings(topic, this.#settings)
    const keys = topicKeys(this.#settings.prefix, topic)
    const retention = own.retention ?? this.#settings.retention
    const known: KnownTopic = {
      keys,
      mode,
      retention,
      deduplicationMs: deduplication ?? this.#settings.deduplication ?? 0,
      durability: own.durability ?? this.#settings.durability,
      housekeeping: new Housekeeping({ ...this.#parts, keys, group: undefined, retention }),
    }
    this.#known.set(topic, known)
    return known
  }
}
