import { type Bus, MessagingError, type Topic } from '@waybill/core'
import { undecodedTopic } from '@waybill/core/tools'
import type { ParsedBridge } from './options.ts'

/** One topic on both sides, as the bridge uses it. */
export interface BridgedTopic {
  readonly from: Topic
  readonly to: Topic
}

// What defineTopic takes. Brokers that do not divide topics say 1, whatever the application has defined.
const usualPartitions = 8

/**
 * The topics on both sides: as the application defines them, or as the brokers know them.
 *
 * @throws {MessagingError} `topology-missing` when the source does not have one, or the target would keep it for nobody;
 * `topology-mismatch` when one side is ordered and the other is not; `unsupported` when it has to be given as a definition.
 */
export async function bridgedTopics(
  from: Bus,
  to: Bus,
  options: ParsedBridge,
): Promise<readonly BridgedTopic[]> {
  const byName = options.topics.some((topic) => typeof topic === 'string')
  const atSource = byName ? await listed(from, 'source') : []
  const atTarget = (await tryList(to)) ?? []
  const bridged: BridgedTopic[] = []
  for (const topic of options.topics) {
    const source = typeof topic === 'string' ? found(topic, atSource, from) : topic
    if (options.takesPlace) await requireGroup(from, source, options.group)
    const target = typeof topic === 'string' ? (sameAt(atTarget, source) ?? made(source, options)) : topic
    const groups = options.groups === 'same' ? await othersOf(from, source, options.group) : options.groups
    const declared = groups?.map((name) => ({ name, types: ['#'], named: true })) ?? target.groups
    await requireKept(to, target, declared.length)
    bridged.push({ from: undecodedTopic(source), to: undecodedTopic(target, declared) })
  }
  return bridged
}

async function listed(bus: Bus, side: string): Promise<readonly Topic[]> {
  const topics = await tryList(bus)
  if (topics !== undefined) return topics
  const what = `The ${side}, ${bus.driver}, cannot list its topics`
  const next =
    'give the topics as the application defines them, with defineTopic(), or what the adapter needs to list them'
  throw new MessagingError('unsupported', `${what}; ${next}`)
}

/** Undefined when the broker cannot tell. */
async function tryList(bus: Bus): Promise<readonly Topic[] | undefined> {
  try {
    return await bus.administration.listTopics()
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'unsupported') return undefined
    throw error
  }
}

async function tryListGroups(bus: Bus, topic: Topic): Promise<readonly string[] | undefined> {
  try {
    return await bus.administration.listGroups(topic)
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'topology-missing') return []
    if (MessagingError.is(error) && error.code === 'unsupported') return undefined
    throw error
  }
}

function found(name: string, topics: readonly Topic[], { driver }: Bus): Topic {
  const topic = topics.find((each) => each.name === name)
  if (topic !== undefined) return topic
  const known = topics.map((each) => each.name).join(', ')
  const there = known === '' ? 'It has none' : `It has ${known}`
  throw new MessagingError('topology-missing', `The source, ${driver}, has no topic "${name}". ${there}`)
}

function sameAt(topics: readonly Topic[], source: Topic): Topic | undefined {
  const target = topics.find(({ name }) => name === source.name)
  if (target === undefined || target.ordered === source.ordered) return target
  const [is, isNot] = target.ordered ? ['target', 'source'] : ['source', 'target']
  const what = `Topic "${source.name}" is ordered at the ${is} and not at the ${isNot}`
  throw new MessagingError('topology-mismatch', `${what}; make it the same on both sides`)
}

function made({ name, ordered, partitions }: Topic, options: ParsedBridge): Topic {
  const as = partitions > 1 ? partitions : usualPartitions
  return { name, ordered, partitions: options.partitions ?? as, native: {}, groups: [] }
}

async function requireGroup(from: Bus, topic: Topic, group: string): Promise<void> {
  const groups = await tryListGroups(from, topic)
  if (groups === undefined || groups.includes(group)) return
  const there = groups.length === 0 ? 'It has none' : `It has ${groups.join(', ')}`
  throw new MessagingError(
    'topology-missing',
    `Topic "${topic.name}" has no group "${group}" at the source whose place the bridge could take. ${there}`,
  )
}

async function othersOf(from: Bus, topic: Topic, own: string): Promise<readonly string[]> {
  const groups = await from.administration.listGroups(topic)
  return groups.filter((name) => name !== own || topic.groups.some((declared) => declared.name === name))
}

/** A broker without replay keeps what is sent for the groups that exist, and for nobody else. */
async function requireKept(to: Bus, topic: Topic, declared: number): Promise<void> {
  if (declared > 0 || to.capabilities.replay) return
  const groups = await tryListGroups(to, topic)
  if (groups === undefined || groups.length > 0) return
  const what = `Topic "${topic.name}" has no group at the target, and ${to.driver} would keep its messages for nobody`
  const next =
    "name the groups to create (groups: ['billing'], or groups: 'same'), or start a consumer there first"
  throw new MessagingError('topology-missing', `${what}; ${next}`)
}
