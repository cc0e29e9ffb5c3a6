import type {
  Bus,
  ConnectOptions,
  Consumer,
  ConsumerOptions,
  DeadLetter,
  HandlerContext,
  Message,
  MessageDefinition,
  Producer,
  SendOptions,
  Topic,
  TopicOptions,
} from '@waybill/core'
import { type Numbered, numbered } from '../fixtures/numbered.ts'
import type { Recorder } from './recorder.ts'

export interface StageOptions {
  /** Of the topic; its first group is the stage's. Default: one group. */
  readonly topic?: TopicOptions
  /** Of a connection of its own. */
  readonly connect?: Partial<ConnectOptions>
  /** Instead of a connection of its own. */
  readonly bus?: Bus
}

export interface ConsumeOptions extends ConsumerOptions {
  /** Default: the stage's. */
  readonly group?: string
  /** Default: the stage's. */
  readonly bus?: Bus
  /** What the recorder calls this consumer. Default: `only`. */
  readonly member?: string
}

/** What a stage needs of its case. */
export interface StageHost {
  readonly sendTimeoutMs: number
  unique(label: string): string
  topic(options: TopicOptions): Topic
  bus(options: Partial<ConnectOptions>): Promise<Bus>
}

/** What most cases start from: a connected bus, a topic with a group, a numbered message type, a producer. */
export class Stage {
  readonly bus: Bus
  readonly topic: Topic
  readonly group: string
  readonly message: MessageDefinition<Numbered, Numbered>
  readonly producer: Producer
  #sent = 0

  private constructor(bus: Bus, topic: Topic, group: string, sendTimeoutMs: number) {
    this.bus = bus
    this.topic = topic
    this.group = group
    this.message = numbered(topic)
    this.producer = bus.producer({ timeout: sendTimeoutMs })
  }

  static async open(context: StageHost, options: StageOptions): Promise<Stage> {
    const groups = options.topic?.groups ?? [context.unique('group')]
    const topic = context.topic({ ...options.topic, groups })
    const first = topic.groups[0]
    if (first === undefined) throw new Error('A stage needs a group')
    if (options.bus === undefined) {
      const bus = await context.bus({ ...options.connect, topics: [topic] })
      return new Stage(bus, topic, first.name, context.sendTimeoutMs)
    }
    await options.bus.provision([topic])
    return new Stage(options.bus, topic, first.name, context.sendTimeoutMs)
  }

  /** Sends numbers, each its own `send`, all at once; they go on from call to call. */
  async send(count: number, options: SendOptions = {}, data: Partial<Numbered> = {}): Promise<Message[]> {
    return Promise.all(
      this.#numbers(count, data).map((each) => this.producer.send(this.message, each, options)),
    )
  }

  async sendOne(options: SendOptions = {}, data: Partial<Numbered> = {}): Promise<Message> {
    this.#sent += 1
    return this.producer.send(this.message, { n: this.#sent, ...data }, options)
  }

  async sendBatch(
    count: number,
    options: SendOptions = {},
    data: Partial<Numbered> = {},
  ): Promise<Message[]> {
    return this.producer.sendBatch(this.message, this.#numbers(count, data), options)
  }

  /** Starts a consumer of the stage's message type that records, then does `work`. */
  async consume(
    recorder: Recorder,
    { group = this.group, bus = this.bus, member = 'only', ...options }: ConsumeOptions = {},
    work?: (message: Message, context: HandlerContext) => unknown,
  ): Promise<Consumer> {
    const consumer = bus.consumer(group, options).on(this.message, recorder.handler(member, work))
    await consumer.start()
    return consumer
  }

  async deadLetters(group = this.group): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = []
    for await (const letter of this.bus.group(this.topic, group).deadLetters.list()) letters.push(letter)
    return letters
  }

  #numbers(count: number, data: Partial<Numbered>): Numbered[] {
    return Array.from({ length: count }, () => {
      this.#sent += 1
      return { n: this.#sent, ...data }
    })
  }
}
