import type { Administration, TopicSpec } from '@waybill/core/driver'
import type { Link } from '../connection/link.ts'
import type { RabbitmqSettings } from '../options.ts'
import { type Ladder, ladderHeight, levelName } from '../wire/delays.ts'
import { describeGroup, type Named, partitionsMark, type TopicObjects } from '../wire/names.ts'
import { Management } from './management.ts'

export interface AdministrationParts {
  readonly link: Link
  readonly settings: RabbitmqSettings
  readonly describe: (topic: TopicSpec) => TopicObjects
  /** What was known to exist may be gone. */
  readonly onDeleted: () => void
}

interface Doomed {
  readonly queues: readonly string[]
  readonly exchanges: readonly string[]
}

/**
 * AMQP can delete what one knows the name of, and list nothing: so groups can be deleted, while topics, of which one would
 * have to know the groups, need the management API. What waits in a delay queue cannot be taken out alone.
 */
export function administrationOf(parts: AdministrationParts): Administration {
  const { describe, settings } = parts
  const deleteGroup = (topic: TopicSpec, group: string) =>
    remove(
      parts,
      `Deleting group ${group} of topic ${topic.name} failed`,
      groupObjects(describe(topic), group),
    )
  if (settings.managementUrl === undefined) return { deleteGroup }
  const management = new Management(settings, settings.managementUrl)
  return {
    deleteGroup,
    listTopics: () => management.listTopics(),
    listGroups: ({ name }) => management.listGroups(name),
    async deleteTopic(topic) {
      for (const group of await management.listGroups(topic.name)) await deleteGroup(topic, group)
      await remove(parts, `Deleting topic ${topic.name} failed`, topicObjects(describe(topic)))
    },
  }
}

/** Deleting what does not exist is not an error (RabbitMQ documentation, "AMQP 0-9-1 Protocol Errata", `queue.delete`). */
function remove({ link, onDeleted }: AdministrationParts, what: string, doomed: Doomed): Promise<void> {
  onDeleted()
  return link.withChannel(what, async (channel) => {
    for (const exchange of doomed.exchanges) await channel.deleteExchange(exchange)
    for (const queue of doomed.queues) await channel.deleteQueue(queue)
  })
}

/** Its own queue last, so that what leaves a delay queue in the meantime has somewhere to go. */
function groupObjects(objects: TopicObjects, group: string): Doomed {
  const { queues, dead, wishes, ladder } = describeGroup(objects, group)
  const delays = ladderObjects(ladder)
  return {
    exchanges: [wishes, ...delays.exchanges],
    queues: [...delays.queues, ...ours([...queues, dead])],
  }
}

function topicObjects(objects: TopicObjects): Doomed {
  const { exchange, filters, kept, sink, ladder, topic } = objects
  const delays = ladderObjects(ladder)
  const own = filters === undefined ? [exchange] : [exchange, filters.types, filters.patterns]
  const marks = topic.ordered ? [partitionsMark(objects), partitionsMark(objects, topic.partitions)] : []
  return {
    exchanges: [...delays.exchanges, kept, ...marks, ...ours(own)],
    queues: [...delays.queues, sink],
  }
}

/** Of the highest ladder there can be. */
function ladderObjects(ladder: Ladder): Doomed {
  const height = ladderHeight(Number.POSITIVE_INFINITY)
  const levels = Array.from({ length: height }, (_, level) => levelName(ladder, level))
  return { queues: levels, exchanges: ladder.exit.kind === 'queues' ? [...levels, ladder.exit.name] : levels }
}

/** What the options name as existing belongs to somebody else. */
function ours(objects: readonly Named[]): readonly string[] {
  return objects.flatMap(({ name, existing }) => (existing ? [] : [name]))
}
