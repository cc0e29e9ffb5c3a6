import type { MessageDefinition, Topic } from '@waybill/core'
import { UsageError } from '../failures/usage-error.ts'
import { importFrom } from './import-from.ts'

/** The topics and messages that an application defines. */
export interface Definitions {
  readonly topics: readonly Topic[]
  readonly messages: readonly MessageDefinition[]
}

/**
 * Whatever topics and messages the modules export, alone, in lists or in objects.
 *
 * @throws {UsageError} when a module cannot be loaded, or none exports any.
 */
export async function loadDefinitions(modules: readonly string[], directory: string): Promise<Definitions> {
  const topics = new Set<Topic>()
  const messages = new Set<MessageDefinition>()
  const collect = (value: unknown, depth: number): void => {
    if (isDefinition(value)) {
      messages.add(value)
      topics.add(value.topic)
    } else if (isTopic(value)) topics.add(value)
    else if (depth > 0 && isPlain(value)) for (const each of Object.values(value)) collect(each, depth - 1)
  }
  for (const name of modules) {
    const exported = await importFrom(name, directory, '--definitions')
    const before = topics.size
    for (const value of Object.values(exported)) collect(value, nesting)
    if (topics.size === before) {
      throw new UsageError(
        `The module ${name} of --definitions exports nothing that defineTopic() or defineMessage() made`,
      )
    }
  }
  return { topics: [...topics], messages: [...messages] }
}

// As deep as people put definitions together: `export default { orders: { placed, paid } }`.
const nesting = 3

/** Those that one definition of the topic declares after the other, as one. */
export function topicNamed({ topics }: Definitions, name: string): Topic | undefined {
  const [first, ...others] = topics.filter((topic) => topic.name === name)
  if (first === undefined || others.length === 0) return first
  return { ...first, groups: [first, ...others].flatMap(({ groups }) => groups) }
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

// By their shape: the application may have a copy of core of its own.
function isTopic(value: unknown): value is Topic {
  return isPlain(value) && 'name' in value && 'groups' in value && 'ordered' in value && 'partitions' in value
}

function isDefinition(value: unknown): value is MessageDefinition {
  return isPlain(value) && 'topic' in value && 'schema' in value && 'type' in value && isTopic(value.topic)
}
