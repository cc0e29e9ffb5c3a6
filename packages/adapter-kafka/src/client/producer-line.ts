import type { ICustomPartitioner, Message, Producer } from 'kafkajs'
import type { KafkaCompression, KafkaSettings } from '../options.ts'
import type { ProducedRecord } from '../wire/records.ts'
import { atMost, type Client, createClient } from './client.ts'
import { compressionTypes } from './codecs.ts'
import { kafkajs } from './kafkajs.ts'

const closeTimeoutMs = 3000

/**
 * While these last, kafkajs sends the same batch again under the same sequence number, and the broker drops what it has
 * already: a broker's restart costs no duplicates. What fails after them may only be sent again as something new.
 */
const retry = { initialRetryTime: 100, multiplier: 2, maxRetryTime: 1000, retries: 10 }

/** Messages without a key go to one partition this many at a time: fewer, larger batches, and still to all members. */
const unkeyedRun = 16

/**
 * kafkajs asks again for each try of a batch. A message that went elsewhere at its second try would come twice, and leave
 * a sequence number behind under which the broker drops the next message: so what is chosen once stays.
 */
const partitioner: ICustomPartitioner = () => {
  // As the Java client does it (murmur2 of the key), so that keys stay where other producers put them.
  const byKey = kafkajs.Partitioners.DefaultPartitioner()
  const chosen = new WeakMap<Message, number>()
  const counters = new Map<string, number>()
  return (args) => {
    const { topic, partitionMetadata, message } = args
    const earlier = chosen.get(message)
    if (earlier !== undefined) return earlier
    let partition: number
    if (message.partition !== undefined) partition = message.partition % partitionMetadata.length
    else if (message.key === null || message.key === undefined) {
      const count = counters.get(topic) ?? Math.floor(Math.random() * partitionMetadata.length * unkeyedRun)
      counters.set(topic, count + 1)
      partition = Math.floor(count / unkeyedRun) % partitionMetadata.length
    } else partition = byKey(args)
    chosen.set(message, partition)
    return partition
  }
}

/** Headers without value are not in kafkajs's types: our own encoder writes them. */
function isMessage(record: ProducedRecord): record is ProducedRecord & Message {
  return 'value' in record
}

/** An idempotent producer and the client it lives in. */
export class ProducerLine {
  readonly producer: Producer
  readonly #client: Client
  readonly #compression: KafkaCompression
  readonly #requestTimeoutMs: number
  readonly connected: Promise<void>
  readonly #topics = new Set<string>()
  /** Batches under way on it. */
  uses = 0
  isRetired = false

  constructor(settings: KafkaSettings, instance: string, warn: (message: string) => void) {
    this.#compression = settings.compression
    this.#requestTimeoutMs = settings.requestTimeout
    this.#client = createClient({ settings, instance, retry, warn })
    this.producer = this.#client.kafka.producer({
      createPartitioner: partitioner,
      allowAutoTopicCreation: false,
      idempotent: true,
      metadataMaxAge: settings.metadataInterval,
      retry,
    })
    const { sockets } = this.#client
    this.producer.on(this.producer.events.REQUEST_TIMEOUT, ({ payload }) => sockets.cut(payload.broker))
    this.connected = this.producer.connect()
  }

  /** Whether it has sent to other topics than this one. */
  knowsOther(topic: string): boolean {
    return this.#topics.size > (this.#topics.has(topic) ? 1 : 0)
  }

  /** Resolves when all in-sync replicas have them. */
  async send(
    topic: string,
    records: readonly ProducedRecord[],
    compression: KafkaCompression = this.#compression,
  ): Promise<void> {
    this.#topics.add(topic)
    await this.producer.sendBatch({
      acks: -1,
      timeout: this.#requestTimeoutMs,
      compression: compressionTypes[compression],
      topicMessages: [{ topic, messages: records.filter(isMessage) }],
    })
  }

  async close(): Promise<void> {
    await atMost(closeTimeoutMs, this.producer.disconnect())
    await this.#client.sockets.close()
  }
}
