import kafkajs, { type Admin, type Kafka } from 'kafkajs'

/** A connection past the SDK, one for each use: cases restart the broker. */
export async function administer<Value>(
  client: Kafka,
  use: (admin: Admin) => Promise<Value>,
): Promise<Value> {
  const admin = client.admin()
  try {
    await admin.connect()
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Sets a topic's own configuration to these entries and no others. */
export async function alterTopic(
  client: Kafka,
  name: string,
  entries: Readonly<Record<string, string>>,
): Promise<void> {
  const configEntries = Object.entries(entries).map(([key, value]) => ({ name: key, value }))
  const type = kafkajs.ConfigResourceTypes.TOPIC
  await administer(client, (admin) =>
    admin.alterConfigs({ validateOnly: false, resources: [{ type, name, configEntries }] }),
  )
}
