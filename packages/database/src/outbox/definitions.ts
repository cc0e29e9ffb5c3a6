import { ConfigurationError, type MessageDefinition, MessagingError } from '@waybill/core'
import { definitionOfStored } from '@waybill/core/outbox'
import { topicOf } from './topic-settings.ts'

interface Stored {
  readonly topic: string
  readonly type: string
  readonly version: number
  readonly topic_options: string | null
}

const remembered = 10_000

/** What the process knows of the definitions of stored messages: those it was given, and those it has stored itself. */
export class Definitions {
  readonly #byType = new Map<string, MessageDefinition>()
  readonly #byTopic = new Map<string, MessageDefinition>()
  readonly #ofRows = new Map<string, MessageDefinition>()
  #last: MessageDefinition | undefined

  constructor(given: readonly MessageDefinition[]) {
    for (const [index, definition] of given.entries()) {
      if (typeof definition === 'object' && definition !== null && 'topic' in definition)
        this.learn(definition)
      else {
        const message = 'expected a message made by defineMessage()'
        throw new ConfigurationError('outbox options', [{ path: `definitions.${index}`, message }])
      }
    }
  }

  learn(definition: MessageDefinition): void {
    // Most processes store one kind of message after the other, and it is asked for each.
    if (definition === this.#last) return
    this.#last = definition
    const key = `${definition.topic.name}/${definition.type}`
    if (this.#byType.get(key) === definition) return
    if (this.#byType.size >= remembered) this.#byType.clear()
    if (this.#byTopic.size >= remembered) this.#byTopic.clear()
    this.#byType.set(key, definition)
    this.#byTopic.set(definition.topic.name, definition)
    this.#ofRows.clear()
  }

  /**
   * What a stored message is sent by: the same object for the same kind of message.
   *
   * @throws {MessagingError} `unsupported` when its format is that of a definition which is not known here.
   */
  of({ topic, type, version, topic_options: options }: Stored): MessageDefinition {
    const key = JSON.stringify([topic, type, version, options])
    const made = this.#ofRows.get(key)
    if (made !== undefined) return made
    const known = this.#byType.get(`${topic}/${type}`)
    const stored = topicOf(topic, options)
    if (known === undefined && stored.ownFormat) {
      const what = `The relay has no definition of ${type} on topic ${topic}, whose bodies have a format of their own`
      throw new MessagingError('unsupported', `${what}. Give it to database.outbox({ definitions })`, {
        retryable: true,
      })
    }
    const place = known?.topic ?? this.#byTopic.get(topic)?.topic ?? stored.topic
    const definition = definitionOfStored(place, type, version, known?.format)
    if (this.#ofRows.size >= remembered) this.#ofRows.clear()
    this.#ofRows.set(key, definition)
    return definition
  }
}
