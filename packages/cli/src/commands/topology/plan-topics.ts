import { type Bus, MessagingError, type Topic } from '@waybill/core'
import type { Definitions } from '../../connection/definitions.ts'
import { topicNamed } from '../../connection/definitions.ts'
import { sentenceOf } from '../../failures/explain-failure.ts'
import type { Column } from '../../output/table.ts'

/** How a topic of the definitions is at the broker. */
export interface PlannedTopic {
  readonly topic: Topic
  readonly status: 'exists' | 'missing' | 'differs' | 'created'
  /** What is missing or was created, in the broker's terms. */
  readonly names: readonly string[]
  /** What differs. */
  readonly difference: string | undefined
}

export const columns: readonly Column<PlannedTopic>[] = [
  { title: 'topic', text: ({ topic }) => topic.name },
  { title: 'groups', text: ({ topic }) => topic.groups.map(({ name }) => name).join(', ') || '–' },
  { title: 'status', text: ({ status }) => status },
  { title: 'what', text: ({ names, difference }) => difference ?? shortened(names) },
]

// Some brokers make a dozen things of one topic; `--json` has them all.
const namesShown = 2

function shortened(names: readonly string[]): string {
  const more = names.length - namesShown
  const shown = names.slice(0, namesShown).join(', ')
  return more > 0 ? `${shown} and ${more} more` : shown
}

export function toJson({ topic, status, names, difference }: PlannedTopic): object {
  return {
    topic: topic.name,
    groups: topic.groups.map(({ name }) => name),
    status,
    names,
    difference: difference ?? null,
  }
}

/** The topics that the definitions have, each once, by name. */
export function topicsOf(definitions: Definitions): readonly Topic[] {
  const names = [...new Set(definitions.topics.map(({ name }) => name))].toSorted()
  return names.flatMap((name) => topicNamed(definitions, name) ?? [])
}

/** The topics at the broker by name; undefined where it cannot list them. */
type Existing = ReadonlyMap<string, Topic> | undefined

async function existingTopics(bus: Bus): Promise<Existing> {
  try {
    return new Map((await bus.administration.listTopics()).map((topic) => [topic.name, topic]))
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'unsupported') return undefined
    throw error
  }
}

/** Looks at each topic, or makes what is missing of it. Other failures than a difference end it. */
export async function* planTopics(
  bus: Bus,
  topics: readonly Topic[],
  options: { readonly create: boolean; readonly signal: AbortSignal },
): AsyncGenerator<PlannedTopic, undefined> {
  const existing = await existingTopics(bus)
  for (const topic of topics) {
    // Not every broker notices, because what it would be made of has other names there.
    const difference = differenceOf(topic, existing?.get(topic.name))
    if (difference === undefined) yield planTopic(bus, topic, options)
    else yield { topic, status: 'differs', names: [], difference }
  }
  return undefined
}

async function planTopic(
  bus: Bus,
  topic: Topic,
  { create, signal }: { readonly create: boolean; readonly signal: AbortSignal },
): Promise<PlannedTopic> {
  try {
    const { created, missing } = await bus.provision([topic], { dryRun: !create, signal })
    const names = create ? created : missing
    const status = names.length === 0 ? 'exists' : create ? 'created' : 'missing'
    return { topic, status, names, difference: undefined }
  } catch (error) {
    if (!MessagingError.is(error) || error.code !== 'topology-mismatch') throw error
    return { topic, status: 'differs', names: [], difference: sentenceOf(error) }
  }
}

function differenceOf(defined: Topic, existing: Topic | undefined): string | undefined {
  if (existing === undefined) return undefined
  const [here, there] = [describe(defined), describe(existing)]
  return here === there ? undefined : `it is ${there} at the broker, and ${here} by its definition`
}

function describe({ ordered, partitions }: Topic): string {
  return ordered ? `ordered with ${partitions} partitions` : 'not ordered'
}
