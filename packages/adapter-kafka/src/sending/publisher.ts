import { type ErrorCode, MessagingError, type Outcome } from '@waybill/core/driver'
import type { ICustomPartitioner, Message, Producer } from 'kafkajs'
import { atMost, type Client, createClient } from '../client/client.ts'
import { compressionTypes } from '../client/codecs.ts'
import { kafkajs } from '../client/kafkajs.ts'
import { toPublishError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { recordBytes } from '../wire/record-limits.ts'

const ok: Outcome = { ok: true }

const closeTimeoutMs = 3000

/** What may be the fault of single messages of a batch. */
const refusals: readonly ErrorCode[] = ['too-large', 'rejected']

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
    if (message.partition !== undefined) return message.partition
    const earlier = chosen.get(message)
    if (earlier !== undefined) return earlier
    let partition: number
    if (message.key === null || message.key === undefined) {
      const count = counters.get(topic) ?? Math.floor(Math.random() * partitionMetadata.length * unkeyedRun)
      counters.set(topic, count + 1)
      partition = Math.floor(count / unkeyedRun) % partitionMetadata.length
    } else partition = byKey(args)
    chosen.set(message, partition)
    return partition
  }
}

/** An idempotent producer and the client it lives in. */
interface Line {
  readonly producer: Producer
  readonly client: Client
  readonly connected: Promise<void>
  /** Batches under way on it. */
  uses: number
  retired: boolean
}

/**
 * Produces, with acknowledgement of all in-sync replicas, one batch a topic at a time. kafkajs gives a failed batch's
 * sequence numbers to the next one: the broker could take that for a repetition and drop it. So no batch may follow one
 * whose fate is unknown, and none may overtake one that is tried again; the producer is replaced instead.
 */
export class Publisher {
  readonly #settings: Settings
  readonly #instance: string
  readonly #queues = new Map<string, Promise<unknown>>()
  readonly #lines = new Set<Line>()
  #current: Line | undefined
  #lineCount = 0
  #closed = false

  constructor(settings: Settings, instance: string) {
    this.#settings = settings
    this.#instance = instance
  }

  get producer(): Producer | undefined {
    return this.#current?.producer
  }

  /** Result i belongs to message i. Never rejects. */
  send(topic: string, messages: readonly Message[]): Promise<readonly Outcome[]> {
    const previous = this.#queues.get(topic)
    const sent =
      previous === undefined ? this.#send(topic, messages) : previous.then(() => this.#send(topic, messages))
    this.#queues.set(topic, sent)
    void sent.then(() => {
      if (this.#queues.get(topic) === sent) this.#queues.delete(topic)
    })
    return sent
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#lines].map((line) => this.#end(line)))
  }

  async #send(topic: string, messages: readonly Message[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const batch of this.#split(messages)) {
      outcomes.push(...(await this.#sendBatch(topic, batch)))
      const last = outcomes.at(-1)
      if (last !== undefined && !last.ok && last.error.retryable) break
    }
    if (outcomes.length === messages.length) return outcomes
    // What comes after a failure waits for it, so that keys keep their order.
    const held: Outcome = {
      ok: false,
      error: new MessagingError(
        'disconnected',
        `Producing to topic ${topic} failed before it came to this message`,
        {
          retryable: true,
          fate: 'not-sent',
        },
      ),
    }
    while (outcomes.length < messages.length) outcomes.push(held)
    return outcomes
  }

  /** Kafka holds its limit against batches: each of these fits even if all of it goes to one partition. */
  *#split(messages: readonly Message[]): Generator<readonly Message[]> {
    const limit = this.#settings.maxMessageBytes
    let start = 0
    let bytes = 0
    for (const [index, message] of messages.entries()) {
      const size = recordBytes(message)
      if (index > start && bytes + size > limit) {
        yield messages.slice(start, index)
        start = index
        bytes = 0
      }
      bytes += size
    }
    yield start === 0 ? messages : messages.slice(start)
  }

  async #sendBatch(topic: string, messages: readonly Message[]): Promise<readonly Outcome[]> {
    const error = await this.#produce(topic, messages)
    if (error === undefined) return messages.map(() => ok)
    if (messages.length === 1 || error.fate !== 'not-sent' || !refusals.includes(error.code)) {
      const outcome: Outcome = { ok: false, error }
      return messages.map(() => outcome)
    }
    // The broker refuses batches whole: somebody's message does not fit the topic's own limits.
    const middle = messages.length >>> 1
    const first = await this.#sendBatch(topic, messages.slice(0, middle))
    return [...first, ...(await this.#sendBatch(topic, messages.slice(middle)))]
  }

  async #produce(topic: string, messages: readonly Message[]): Promise<MessagingError | undefined> {
    if (this.#closed) return new MessagingError('closed', 'The connection is closed', { fate: 'not-sent' })
    const line = this.#line()
    line.uses += 1
    let attempted = false
    try {
      await line.connected
      attempted = true
      await line.producer.sendBatch({
        acks: -1,
        timeout: this.#settings.requestTimeout,
        compression: compressionTypes[this.#settings.compression],
        topicMessages: [{ topic, messages: [...messages] }],
      })
      return undefined
    } catch (thrown) {
      this.#retire(line)
      return toPublishError(thrown, topic, attempted)
    } finally {
      line.uses -= 1
      if (line.retired && line.uses === 0) void this.#end(line)
    }
  }

  #line(): Line {
    if (this.#current !== undefined) return this.#current
    this.#lineCount += 1
    const client = createClient(this.#settings, `${this.#instance}-producer-${this.#lineCount}`, retry)
    const producer = client.kafka.producer({
      createPartitioner: partitioner,
      allowAutoTopicCreation: false,
      idempotent: true,
      retry,
    })
    producer.on(producer.events.REQUEST_TIMEOUT, ({ payload }) => client.sockets.cut(payload.broker))
    const line: Line = { producer, client, connected: producer.connect(), uses: 0, retired: false }
    this.#lines.add(line)
    this.#current = line
    return line
  }

  #retire(line: Line): void {
    line.retired = true
    if (this.#current === line) this.#current = undefined
  }

  async #end(line: Line): Promise<void> {
    this.#lines.delete(line)
    await atMost(closeTimeoutMs, line.producer.disconnect())
    line.client.sockets.close()
  }
}
