import type { TopicSpec } from '@waybill/core/driver'
import { parseTopicSettings, type Settings } from './options.ts'
import { type TopicKeys, topicKeys } from './wire.ts'

/** A topic as this driver works with it. */
export interface KnownTopic {
  readonly keys: TopicKeys
  readonly mode: 'stream' | 'notices'
  readonly retention: Settings['retention']
  /** 0: off. */
  readonly deduplicationMs: number
}

/** What the options of each topic come to, looked at once. */
export class Topics {
  readonly #settings: Settings
  readonly #known = new WeakMap<TopicSpec, KnownTopic>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** @throws {ConfigurationError} listing every problem of the topic's options. */
  of(topic: TopicSpec): KnownTopic {
    const found = this.#known.get(topic)
    if (found !== undefined) return found
    const { mode, retention, deduplication } = parseTopicSettings(topic.name, topic.native.redis)
    const known: KnownTopic = {
      keys: topicKeys(this.#settings.prefix, topic),
      mode,
      retention: retention ?? this.#settings.retention,
      deduplicationMs: deduplication ?? this.#settings.deduplication ?? 0,
    }
    this.#known.set(topic, known)
    return known
  }
}
