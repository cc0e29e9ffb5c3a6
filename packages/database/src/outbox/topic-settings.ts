import { defineTopic, type MessageDefinition, type Topic } from '@waybill/core'
import { z } from 'zod'

// What is left out is as it is here, whatever the defaults of topics become: rows say only what differs, as each has this text.
const settingsSchema = z.object({
  ordered: z.boolean().default(false),
  partitions: z.number().default(8),
  groups: z
    .array(z.union([z.string(), z.object({ name: z.string(), types: z.array(z.string()) })]))
    .default([]),
  native: z.record(z.string(), z.unknown()).default({}),
  ownFormat: z.boolean().default(false),
})

/** What a relay that has no definition of a topic needs to send to it. */
export type TopicSettings = z.output<typeof settingsSchema>

const plain: TopicSettings = settingsSchema.parse({})

const known = new WeakMap<MessageDefinition, string | null>()

/** As JSON text; null when nothing was chosen. */
export function topicSettingsText(definition: MessageDefinition): string | null {
  const found = known.get(definition)
  if (found !== undefined) return found
  const { topic, format } = definition
  const settings: TopicSettings = {
    ordered: topic.ordered,
    partitions: topic.partitions,
    groups: topic.groups.map(({ name, types, named }) => (named ? name : { name, types: [...types] })),
    native: { ...topic.native },
    ownFormat: format !== undefined || topic.format !== undefined,
  }
  const chosen = Object.entries(settings).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(Reflect.get(plain, name)),
  )
  const stored = chosen.length === 0 ? null : JSON.stringify(Object.fromEntries(chosen))
  known.set(definition, stored)
  return stored
}

export function topicOf(
  name: string,
  text: string | null,
): { readonly topic: Topic; readonly ownFormat: boolean } {
  if (text === null) return { topic: defineTopic(name), ownFormat: false }
  const { ownFormat, ...options } = settingsSchema.parse(JSON.parse(text))
  return { topic: defineTopic(name, options), ownFormat }
}
