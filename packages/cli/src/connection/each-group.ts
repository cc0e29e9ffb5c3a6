import type { Bus, Group, Topic } from '@waybill/core'
import type { Definitions } from './definitions.ts'
import { findGroup, findTopic } from './named.ts'

/** The groups that a command's optional arguments name: one, those of a topic, or all. */
export async function* eachGroup(
  bus: Bus,
  topicName: string | undefined,
  groupName: string | undefined,
  definitions?: Definitions,
): AsyncGenerator<Group, undefined> {
  if (topicName !== undefined && groupName !== undefined) {
    yield findGroup(bus, topicName, groupName, definitions)
    return undefined
  }
  for (const topic of await topicsOf(bus, topicName, definitions)) {
    for (const name of (await bus.administration.listGroups(topic)).toSorted()) {
      yield bus.group(topic, name, { allowUndeclaredGroup: true })
    }
  }
}

async function topicsOf(
  bus: Bus,
  name: string | undefined,
  definitions: Definitions | undefined,
): Promise<readonly Topic[]> {
  if (name !== undefined) return [await findTopic(bus, name, definitions)]
  const topics = await bus.administration.listTopics()
  return topics.toSorted((one, other) => (one.name < other.name ? -1 : 1))
}
