import type { Admin } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'

/** The largest batch a topic takes (Kafka documentation, "Topic Configs"). */
const batchBytesConfig = 'max.message.bytes'
/** Below it not even the record of a failure fits. */
const leastBatchBytes = 64 * 1024

/** Has a topic take batches of so many bytes, and changes nothing else of it; false if it takes as good as none. */
export async function raiseBatchBytes(admin: Admin, topic: string, bytes: number): Promise<boolean> {
  const type = kafkajs.ConfigResourceTypes.TOPIC
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type, name: topic }],
  })
  const entries = resources[0]?.configEntries ?? []
  const limit = Number(entries.find(({ configName }) => configName === batchBytesConfig)?.configValue)
  // Somebody's way to keep it from being written.
  if (limit < leastBatchBytes) return false
  // What is sent is all that the topic has of its own afterwards.
  const own = entries.filter(
    (entry) => 'configSource' in entry && entry.configSource === kafkajs.ConfigSource.TOPIC_CONFIG,
  )
  const kept = own
    .map(({ configName, configValue }) => ({ name: configName, value: configValue }))
    .filter(({ name }) => name !== batchBytesConfig)
  const configEntries = [...kept, { name: batchBytesConfig, value: String(bytes) }]
  await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries }] })
  return true
}
