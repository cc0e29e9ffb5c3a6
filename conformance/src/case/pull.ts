import type { Bus, MessageDefinition, ReceivedMessage, ReceiveOptions } from '@waybill/core'

/** What a pull needs of its case. */
export interface PullHost {
  within<Result>(description: string, promise: Promise<Result>): Promise<Result>
  defer(cleanup: () => Promise<unknown>): void
}

/** A consumer that settles by hand, one message at a time. */
export class Pull<Data> {
  readonly #context: PullHost
  readonly #iterator: AsyncIterator<ReceivedMessage<Data>>
  readonly #end = new AbortController()

  constructor(
    context: PullHost,
    bus: Bus,
    definition: MessageDefinition<unknown, Data>,
    options: ReceiveOptions,
  ) {
    this.#context = context
    this.#iterator = bus.receive(definition, { ...options, signal: this.#end.signal })[Symbol.asyncIterator]()
    context.defer(() => this.close())
  }

  /** The next delivery; rejects when there is none in time. */
  async next(): Promise<ReceivedMessage<Data>> {
    const result = await this.#context.within('the next delivery is received', this.#iterator.next())
    if (result.done === true) throw new Error('The deliveries ended')
    return result.value
  }

  /** Leaves the loop: what is unsettled goes back to the group. */
  async close(): Promise<void> {
    this.#end.abort()
    await this.#context.within('the receiving loop ends', Promise.resolve(this.#iterator.return?.()))
  }
}
