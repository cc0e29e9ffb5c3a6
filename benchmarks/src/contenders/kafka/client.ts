import type { Admin, Consumer, Kafka, Producer } from 'kafkajs'

/** As many as Waybill gives an ordered topic by default. */
export const partitions = 8

export async function createClient(url: string): Promise<Kafka> {
  const { Kafka, logLevel } = await import('kafkajs')
  return new Kafka({ clientId: 'benchmark', brokers: [new URL(url).host], logLevel: logLevel.ERROR })
}

export async function createProducer(kafka: Kafka, idempotent: boolean): Promise<Producer> {
  const { Partitioners } = await import('kafkajs')
  const producer = kafka.producer({ idempotent, createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  return producer
}

export async function createTopic(kafka: Kafka, topic: string): Promise<Admin> {
  const admin = kafka.admin()
  await admin.connect()
  // kafkajs logs an error for a topic that is there.
  if (!(await admin.listTopics()).includes(topic)) {
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions }] })
  }
  return admin
}

export async function createConsumer(kafka: Kafka, topic: string): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId: topic })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  return consumer
}

/** Messages behind the group's committed offsets. */
export async function remainingOf(admin: Admin, topic: string): Promise<number> {
  const ends = await admin.fetchTopicOffsets(topic)
  const committed = (await admin.fetchOffsets({ groupId: topic, topics: [topic] }))[0]?.partitions ?? []
  return ends.reduce((sum, { partition, high }) => {
    const offset = Number(committed.find((each) => each.partition === partition)?.offset ?? 0)
    return sum + Number(high) - Math.max(0, offset)
  }, 0)
}
