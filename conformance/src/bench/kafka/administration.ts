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

/**
 * Resolves once a topic takes no more writes. A broker confirms a new configuration when it is decided on, and applies it
 * some time later. What is written until then takes off a dead letter that nobody has.
 */
export async function untilWritesFail(client: Kafka, topic: string): Promise<void> {
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  try {
    await producer.connect()
    const deadline = performance.now() + 30_000
    while (performance.now() < deadline) {
      await producer.send({ topic, messages: [{ key: 'none', value: null }] })
    }
    throw new Error(`Topic ${topic} still takes writes`)
  } catch (error) {
    if (!(error instanceof kafkajs.KafkaJSProtocolError && error.type === 'MESSAGE_TOO_LARGE')) throw error
  } finally {
    await producer.disconnect()
  }
}
