import { MessagingError, type Topology, type TopologyReport } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/connection.ts'
import { applyTopology } from '../scripts/apply-topology.ts'
import { groupKeys, topicKeys } from '../wire/messages.ts'
import { asArray, asText } from '../wire/reply.ts'

/** Makes or checks each topic with its groups in one step, so that processes may do so at the same time. */
export async function apply(
  shared: SharedConnection,
  prefix: string,
  topology: Topology,
  mode: 'create' | 'verify',
): Promise<TopologyReport> {
  const found = await Promise.all(
    topology.topics.map(async ({ topic, groups }) => {
      const keys = topicKeys(prefix, topic)
      const own = groups.flatMap(({ name }) => groupKeys(keys, name).own)
      const ordered = topic.ordered ? 1 : 0
      const partitions = topic.ordered ? topic.partitions : 0
      const starts = groups.flatMap(({ name, from }) => [name, from])
      const [state, ...rest] = asArray(
        await shared.run(
          applyTopology,
          [keys.topic, ...keys.streams, ...keys.marks, ...own],
          [mode, ordered, partitions, keys.streams.length, ...starts],
        ),
      )
      const details = rest.map(asText)
      if (asText(state) === 'ok') return details.map((detail) => `${detail} (${keys.base})`)
      const [wasOrdered, hadPartitions] = details
      throw new MessagingError(
        'topology-mismatch',
        `Topic ${topic.name} exists as ${describe(wasOrdered === '1', Number(hadPartitions))}, ` +
          `and is asked for as ${describe(topic.ordered, topic.partitions)} (key ${keys.topic})`,
      )
    }),
  )
  const names = found.flat()
  return mode === 'create' ? { created: names, missing: [] } : { created: [], missing: names }
}

function describe(ordered: boolean, partitions: number): string {
  return ordered ? `ordered with ${partitions} partitions` : 'unordered'
}
