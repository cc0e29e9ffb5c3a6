import type { DriverContext, GroupSpec, TopicSpec, Topology, TopologyReport } from '@waybill/core/driver'
import { definedOtherwise } from '@waybill/core/driver-kit'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { isMemoryFull } from '../errors.ts'
import { groupKeys, registryKey, topicKeys } from '../wire/names.ts'
import { asArray, asFields, asText } from '../wire/reply.ts'

export interface ApplySettings {
  readonly shared: SharedConnection
  readonly prefix: string
  readonly emit: DriverContext['emit']
  /** The groups that this process has seen at the broker, as `topic/group`; added to. */
  readonly seen: Set<string>
}

export const seenAs = ({ name }: Pick<TopicSpec, 'name'>, group: string) => `${name}/${group}`

/** Makes or checks each topic with its groups in one step, so that processes may do so at the same time. */
export async function apply(
  settings: ApplySettings,
  topology: Topology,
  mode: 'create' | 'verify',
): Promise<TopologyReport> {
  const found = await Promise.all(
    topology.topics.map(({ topic, groups }) => applyTopic(settings, topic, groups, mode === 'create')),
  )
  const names = found.flat()
  return mode === 'create' ? { created: names, missing: [] } : { created: [], missing: names }
}

async function applyTopic(
  { shared, prefix, emit, seen }: ApplySettings,
  topic: TopicSpec,
  groups: readonly GroupSpec[],
  create: boolean,
): Promise<readonly string[]> {
  const keys = topicKeys(prefix, topic)
  const groupsKeys = groups.map(({ name }) => groupKeys(keys, name))
  const { fields } = await shared.run('applyTopology', {
    keys: {
      ...{ topic: keys.topic, streams: keys.streams, groups: keys.groups },
      wishes: groupsKeys.map(({ wishes }) => wishes),
      own: groupsKeys.flatMap(({ own }) => own),
    },
    args: {
      ...{
        create,
        ordered: topic.ordered ? '1' : '0',
        partitions: topic.ordered ? String(topic.partitions) : '0',
      },
      groups: groups.map((group) => ({
        ...{
          name: group.name,
          from: group.from,
          wishes: group.wishes,
          isKnown: seen.has(seenAs(topic, group.name)),
        },
      })),
    },
  })
  if (fields.mismatch !== undefined) {
    const { ordered, partitions } = asFields(fields.mismatch)
    throw definedOtherwise({
      what: `Topic ${topic.name} (key ${keys.topic})`,
      ours: describe(topic.ordered, topic.partitions),
      theirs: describe(asText(ordered) === '1', Number(asText(partitions))),
    })
  }
  if (create) {
    // A set of its own, so not in the same step: with the keys of no topic, in a cluster perhaps on another node.
    await shared.call('SADD', registryKey(prefix), topic.name).catch((error) => {
      // Consumers start on a full server too: they are what frees memory. The next to apply it adds it.
      if (!isMemoryFull(error)) throw error
    })
    for (const group of groups) seen.add(seenAs(topic, group.name))
    for (const name of asArray(fields.renewed)) {
      const message = `Group ${asText(name)} of topic ${topic.name} was missing in Redis and has been created again from the earliest message: messages may be handled again`
      emit({ type: 'warning', message })
    }
  }
  return asArray(fields.made).map((name) => `${asText(name)} (${keys.base})`)
}

function describe(ordered: boolean, partitions: number): string {
  return ordered ? `ordered with ${partitions} partitions` : 'not ordered'
}
