import { defineMessage, type MessageDefinition, type Topic } from '@waybill/core'
import { z } from 'zod'
import type { Definitions } from '../../connection/definitions.ts'

/** How to send each type of a topic: as the application defines it, or unchecked where nobody gave its definitions. */
export class DefinitionsByType {
  readonly #topic: Topic
  readonly #defined: ReadonlyMap<string, MessageDefinition> | undefined
  readonly #unchecked = new Map<string, MessageDefinition>()

  constructor(topic: Topic, definitions: Definitions | undefined) {
    this.#topic = topic
    const own = definitions?.messages.filter((each) => each.topic.name === topic.name)
    this.#defined = own && new Map(own.map((each) => [each.type, each]))
  }

  /** @throws {Error} when there is no type, or the application does not define it. */
  of(type: string | undefined, version = 1): MessageDefinition {
    if (type === undefined) throw new Error('It has no type; give --type')
    const known = this.#defined?.get(type) ?? this.#unchecked.get(`${version} ${type}`)
    if (known !== undefined) return known
    if (this.#defined !== undefined) {
      const types = [...this.#defined.keys()].join(', ')
      throw new Error(
        `The definitions have no message "${type}" on topic ${this.#topic.name}, only ${types || 'none'}`,
      )
    }
    const definition = defineMessage(this.#topic, type, { version, schema: z.unknown() })
    this.#unchecked.set(`${version} ${type}`, definition)
    return definition
  }
}
