import kafkajs, { type Admin, type Kafka, type ProducerRecord } from 'kafkajs'

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

/** By which a topic shows that a configuration that keeps it from being written is in force. */
const refusals = ['MESSAGE_TOO_LARGE', 'NOT_ENOUGH_REPLICAS']

/**
 * Resolves once a topic takes no more writes. A broker confirms a new configuration when it is decided on, and applies it
 * some time later. What is written until then takes off a dead letter that nobody has.
 */
export async function untilWritesFail(client: Kafka, topic: string): Promise<void> {
  const producer = client.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    retry: { retries: 0 },
  })
  try {
    await producer.connect()
    const deadline = performance.now() + 30_000
    while (performance.now() < deadline) {
      await producer.send({ topic, messages: [{ key: 'none', value: null }] })
    }
    throw new Error(`Topic ${topic} still takes writes`)
  } catch (error) {
    if (!(error instanceof kafkajs.KafkaJSProtocolError && refusals.includes(error.type))) throw error
  } finally {
    await producer.disconnect()
  }
}

/** Sends records past the SDK, as a foreign program would. */
export async function produce(
  client: Kafka,
  topic: string,
  batch: Pick<ProducerRecord, 'messages' | 'compression'>,
): Promise<void> {
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  try {
    await producer.connect()
    await producer.send({ topic, ...batch })
  } finally {
    await producer.disconnect()
  }
}
