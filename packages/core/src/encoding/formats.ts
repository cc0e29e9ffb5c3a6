import type { BodyFormat } from '../messages/body-format.ts'
import type { Codec } from '../messages/codec.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Stage } from '../messages/stage.ts'
import type { Topic } from '../messages/topic.ts'

/** What the bodies of a topic are read with, in the order in which it is tried. */
export interface TopicFormats {
  readonly codecs: readonly Codec[]
  readonly stages: readonly Stage[]
}

/** What a message is sent with. */
export interface SendingFormat {
  /** Undefined: CloudEvents in structured mode. */
  readonly codec: Codec | undefined
  readonly stages: readonly Stage[]
}

interface Known {
  readonly ofMessages: Set<BodyFormat>
  readonly ofTopic: Set<BodyFormat>
  formats: TopicFormats
}

// How many topics are remembered; names may be generated. What is forgotten is learned again at its next use.
const remembered = 10_000

const plain: SendingFormat = { codec: undefined, stages: [] }

/**
 * The formats of a bus. A body that arrives does not say which definition it belongs to, so all that the process knows of its
 * topic are tried: those of definitions first, then the topic's, then the bus's.
 */
export class Formats {
  readonly #bus: BodyFormat | undefined
  readonly #always: readonly Stage[]
  readonly #others: TopicFormats
  readonly #byTopic = new Map<string, Known>()
  #learned = new WeakSet<Topic | MessageDefinition>()

  /** `always` are the stages that can be undone without having been configured. */
  constructor(bus: BodyFormat | undefined, always: readonly Stage[]) {
    this.#bus = bus
    this.#always = always
    this.#others = this.#merge([])
  }

  /** Registers what is used for sending or receiving. */
  learn(used: Topic | MessageDefinition): void {
    if (this.#learned.has(used)) return
    this.#learned.add(used)
    const topic = 'topic' in used ? used.topic : used
    if (used !== topic) this.learn(topic)
    if (used.format === undefined) return
    const known = this.#byTopic.get(topic.name) ?? {
      ofMessages: new Set(),
      ofTopic: new Set(),
      formats: this.#others,
    }
    known[used === topic ? 'ofTopic' : 'ofMessages'].add(used.format)
    known.formats = this.#merge([...known.ofMessages, ...known.ofTopic])
    this.#byTopic.set(topic.name, known)
    const [oldest] = this.#byTopic.size > remembered ? this.#byTopic.keys() : []
    if (oldest === undefined) return
    this.#byTopic.delete(oldest)
    this.#learned = new WeakSet()
  }

  of(topic: string): TopicFormats {
    return this.#byTopic.get(topic)?.formats ?? this.#others
  }

  /** What a message of this definition is sent with. */
  forSending({ format, topic }: MessageDefinition): SendingFormat {
    if (format === undefined && topic.format === undefined && this.#bus === undefined) return plain
    const codecs = format?.codecs ?? topic.format?.codecs ?? this.#bus?.codecs
    const stages = format?.stages ?? topic.format?.stages ?? this.#bus?.stages ?? plain.stages
    return { codec: codecs?.find(({ encode }) => encode !== undefined), stages }
  }

  #merge(own: readonly BodyFormat[]): TopicFormats {
    const all = this.#bus === undefined ? own : [...own, this.#bus]
    return {
      codecs: [...new Set(all.flatMap(({ codecs = [] }) => codecs))],
      stages: [...new Set([...all.flatMap(({ stages = [] }) => stages), ...this.#always])],
    }
  }
}
