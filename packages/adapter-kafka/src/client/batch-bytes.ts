import type { Admin } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'

/** The largest batch a topic takes (Kafka documentation, "Topic Configs"). */
const batchBytesConfig = 'max.message.bytes'
/** A smaller limit leaves no room even for a failure record. */
const leastBatchBytes = 64 * 1024

/**
 * Raises the size of the batches that a topic accepts and leaves its other settings alone. False if the limit is so low
 * that it must be deliberate.
 */
export async function raiseBatchBytes(admin: Admin, topic: string, bytes: number): Promise<boolean> {
  const type = kafkajs.ConfigResourceTypes.TOPIC
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type, name: topic }],
  })
  const entries = resources[0]?.configEntries ?? []
  const limit = Number(entries.find(({ configName }) => configName === batchBytesConfig)?.configValue)
  // Somebody uses the limit to make the topic read-only.
  if (limit < leastBatchBytes) return false
  // AlterConfigs replaces all of the topic's own settings, so the others are sent along.
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
