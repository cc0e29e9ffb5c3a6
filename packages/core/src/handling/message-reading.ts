import type { DeliveryInHand } from '../deliveries/delivery.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import type { Emit } from '../events/events.ts'
import { isThenable } from '../lib/and-then.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { MessagingError } from '../lib/errors.ts'
import { reconnectBackoff } from '../lib/reconnect-backoff.ts'
import { within } from '../lib/within.ts'
import type { Message } from '../messages/message.ts'
import { lastingHeaders } from './failure-record.ts'

export interface ReadingSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly reader: BodyReader
  readonly ordered: boolean
}

/** Whether the delivery is read now, has ended in the meantime, or is to be tried again later. */
export type ReadingResult = 'read' | 'ended' | 'later'

// What hangs is given up and tried again.
const longestReadMs = 60_000

// How often a message is tried before it goes back for a while, so that those in hand that can be read go on.
const triesInHand = 3

/** Reads the messages of deliveries. What can only be read later, while a store or a registry is away, is tried again. */
export class MessageReading {
  readonly #settings: ReadingSettings
  #waiting = 0
  #error: MessagingError | undefined

  constructor(settings: ReadingSettings) {
    this.#settings = settings
  }

  /** Why messages cannot be read at the moment. */
  get error(): MessagingError | undefined {
    return this.#waiting === 0 ? undefined : this.#error
  }

  /** Reads, or reads again as it was sent. Throws and rejects with what makes the message `undecodable`. */
  read(delivery: DeliveryInHand): 'read' | Promise<ReadingResult> {
    const { ordered } = this.#settings
    const message = this.#begin(delivery)
    if (!isThenable(message)) return this.#take(delivery, message)
    if (!delivery.isRead) delivery.reading(ordered ? (delivery.delivery.key ?? '') : undefined)
    return this.#readLater(delivery, Promise.resolve(message))
  }

  #begin(delivery: DeliveryInHand): Message | Promise<Message> {
    const { reader } = this.#settings
    const source = delivery.isRead
      ? { ...delivery.delivery, headers: lastingHeaders(delivery) }
      : delivery.delivery
    return reader.read(source, delivery.receivedAt)
  }

  #take(delivery: DeliveryInHand, message: Message): 'read' {
    delivery.read(message, this.#settings.ordered ? message.key : undefined)
    return 'read'
  }

  async #readLater(delivery: DeliveryInHand, first: Promise<Message>): Promise<ReadingResult> {
    const { ordered } = this.#settings
    let reading = first
    for (let failures = 0; ; ) {
      try {
        const message = await this.#inTime(reading)
        if (delivery.ended) return 'ended'
        return this.#take(delivery, message)
      } catch (thrown) {
        if (!MessagingError.is(thrown) || !thrown.retryable) throw thrown
        if (delivery.ended) return 'ended'
        failures += 1
        this.#error = thrown
        this.#settings.emit('failure', { what: `reading messages of ${delivery.topic}`, error: thrown })
        // A key's later messages must not overtake it.
        if (!ordered && failures >= triesInHand) return 'later'
        await this.#pause(delivery, reconnectBackoff(failures))
        if (delivery.ended) return 'ended'
        reading = this.#beginAgain(delivery)
      }
    }
  }

  async #beginAgain(delivery: DeliveryInHand): Promise<Message> {
    return this.#begin(delivery)
  }

  async #inTime(reading: Promise<Message>): Promise<Message> {
    if (await within(this.#settings.clock, longestReadMs, reading)) return reading
    const why = `A codec or a stage took longer than ${longestReadMs / 1000} s to read the message`
    throw new MessagingError('timeout', why, { retryable: true })
  }

  /** Waits, or until the delivery is taken from us. */
  async #pause(delivery: DeliveryInHand, delayMs: number): Promise<void> {
    const over = new AbortController()
    delivery.onEnd(() => over.abort())
    this.#waiting += 1
    await sleep(this.#settings.clock, delayMs, over.signal)
    this.#waiting -= 1
    delivery.onEnd(undefined)
  }
}
