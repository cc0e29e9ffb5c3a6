import type { Consumer, EachBatchPayload, KafkaMessage } from 'kafkajs'
import { Coalescer } from '../../coalescer.ts'
import type { Contender, Handle } from '../../contender.ts'
import {
  createClient,
  createConsumer,
  createProducer,
  createTopic,
  partitions,
  remainingOf,
} from './client.ts'

const commitIntervalMs = 1000
const messagesARequest = 1000

/** As somebody writes it who has read kafkajs' sources: coalesced sends, `eachBatch`, offsets committed beside the work. */
export const contender: Contender = {
  guarantees:
    'acks from all in-sync replicas, not idempotent, many messages a request; up to 100 handlers, offsets committed once a second. No retries, no dead letters.',
  works: 'abcdegh',

  async setup({ url, name, ordered }) {
    const kafka = await createClient(url)
    const admin = await createTopic(kafka, name)
    const producer = await createProducer(kafka, false)
    const sends = new Coalescer<{ key?: string; value: string }>(
      (messages) => producer.send({ topic: name, messages }),
      messagesARequest,
      1,
    )
    return {
      send(event) {
        const value = JSON.stringify(event)
        return sends.add(ordered ? { key: event.key, value } : { value })
      },
      async consume(handle, concurrency) {
        const consumer = await createConsumer(kafka, name)
        return runBatches(consumer, name, handle, ordered ? 1 : concurrency)
      },
      remaining: () => remainingOf(admin, name),
      async teardown() {
        await Promise.all([producer.disconnect(), admin.disconnect()])
      },
    }
  },

  async coldStart(url, { imported, connected }) {
    await import('kafkajs')
    imported()
    const producer = await createProducer(await createClient(url), false)
    connected()
    return () => producer.disconnect()
  },
}

/** `atOnce` messages of a partition at a time: 1 keeps their order, with the partitions side by side. */
async function runBatches(
  consumer: Consumer,
  topic: string,
  handle: Handle,
  atOnce: number,
): Promise<() => Promise<void>> {
  const handled = new Map<number, string>()
  const commit = async () => {
    const offsets = [...handled].map(([partition, offset]) => ({ topic, partition, offset }))
    handled.clear()
    if (offsets.length > 0) await consumer.commitOffsets(offsets)
  }
  const eachBatch = async ({ batch, resolveOffset }: EachBatchPayload) => {
    for (let start = 0; start < batch.messages.length; start += atOnce) {
      const chunk = batch.messages.slice(start, start + atOnce)
      await Promise.all(chunk.map((message) => handle(parse(message))))
    }
    resolveOffset(batch.lastOffset())
    handled.set(batch.partition, String(Number(batch.lastOffset()) + 1))
  }
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: atOnce === 1 ? partitions : 1,
    eachBatch,
  })
  const timer = setInterval(() => void commit().catch(console.error), commitIntervalMs)
  return async () => {
    clearInterval(timer)
    await commit()
    await consumer.disconnect()
  }
}

function parse({ value }: KafkaMessage) {
  return JSON.parse(value?.toString() ?? '')
}
