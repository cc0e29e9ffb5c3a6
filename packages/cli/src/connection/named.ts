import { type Bus, defineTopic, type Group, MessagingError, type Topic } from '@waybill/core'
import { UsageError } from '../failures/usage-error.ts'
import { type Definitions, topicNamed } from './definitions.ts'

// More would not be read.
const namesShown = 20

/**
 * The topic of that name: as the application defines it, or as the broker has it.
 *
 * @throws {UsageError} when the broker has no such topic, naming those there are.
 */
export async function findTopic(bus: Bus, name: string, definitions?: Definitions): Promise<Topic> {
  const defined = definitions && topicNamed(definitions, name)
  const listed = await unlessUnsupported(bus.administration.listTopics())
  // A broker that cannot list them refuses what is not there in its own words.
  if (listed === undefined) return defined ?? defineTopic(name)
  const found = listed.find((topic) => topic.name === name)
  if (defined !== undefined && found !== undefined) return defined
  if (found !== undefined) {
    // Some drivers send otherwise to a topic with one group than to one with several.
    const groups = (await unlessUnsupported(bus.administration.listGroups(found))) ?? []
    return { ...found, groups: groups.map((each) => ({ name: each, types: ['#'], named: true })) }
  }
  throw new UsageError(
    `There is no topic "${name}" at the broker; ${thereAre(
      'topic',
      listed.map((topic) => topic.name),
    )}`,
  )
}

/**
 * A group of a topic.
 *
 * @throws {UsageError} when the topic has no such group, naming those there are.
 */
export async function findGroup(
  bus: Bus,
  topicName: string,
  name: string,
  definitions?: Definitions,
): Promise<Group> {
  const topic = await findTopic(bus, topicName, definitions)
  const listed = await unlessUnsupported(bus.administration.listGroups(topic))
  if (listed !== undefined && !listed.includes(name)) {
    throw new UsageError(`Topic "${topicName}" has no group "${name}"; ${thereAre('group', listed)}`)
  }
  return bus.group(topic, name, { allowUndeclaredGroup: true })
}

function thereAre(what: string, names: readonly string[]): string {
  if (names.length === 0) return `there is no ${what} at all`
  const shown = names.toSorted().slice(0, namesShown).join(', ')
  return `there ${names.length === 1 ? 'is' : 'are'} ${shown}${names.length > namesShown ? ' and more' : ''}`
}

async function unlessUnsupported<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'unsupported') return undefined
    throw error
  }
}
