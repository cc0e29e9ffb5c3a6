import { type Clock, MessagingError, type Outcome } from '@waybill/core/driver'
import { done, type Failure, withheld } from '@waybill/core/driver-kit'
import type { ConfirmChannel } from '../client/amqplib.ts'
import { confirmedPublish } from '../client/confirmed-publish.ts'
import { faultOf } from '../client/faults.ts'
import type { Link } from '../connection/link.ts'
import { toDriverError, toPublishError } from '../errors.ts'
import type { Outgoing } from '../wire/messages.ts'

function failed(error: MessagingError): Failure {
  return { ok: false, error }
}

/** Of a message that the broker returned because no queue is bound for it. */
export function unroutable({ exchange, routingKey }: Outgoing): Failure {
  const where =
    exchange === ''
      ? `There is no queue ${routingKey}`
      : `No queue is bound to exchange ${exchange} for ${routingKey}`
  return failed(new MessagingError('topology-missing', where, { retryable: true, fate: 'not-sent' }))
}

/** Decisions that the owner of a publisher makes about its messages. */
export interface PublisherHooks<Message> {
  /** What becomes of a message that no queue wants. */
  readonly onUnroutable: (message: Message) => Outcome
  /** Messages of one lane that follow a failed one of their batch are withheld. Undefined: the order does not matter. */
  readonly lane?: (message: Message) => string | undefined
}

/** One batch on its way; outcome i belongs to message i. */
interface Batch<Message> {
  readonly messages: readonly Message[]
  readonly outcomes: (Outcome | undefined)[]
  open: number
  readonly done: (outcomes: readonly Outcome[]) => void
}

/** A message of a batch that is not written to the channel yet. */
interface Waiting<Message> {
  readonly batch: Batch<Message>
  readonly index: number
}

/**
 * Publishes on one confirm channel, many messages under way at once. The order of the calls is the order on the
 * channel, and what the socket does not take waits here. A batch resolves when the broker has confirmed or refused each
 * message, or when no confirm can come any more.
 */
export class Publisher<Message extends Outgoing = Outgoing> {
  readonly #link: Link
  readonly #clock: Clock
  readonly #confirmTimeoutMs: number
  readonly #hooks: PublisherHooks<Message>
  #line: Line<Message> | undefined
  #opening: Promise<Line<Message>> | undefined

  constructor(link: Link, clock: Clock, confirmTimeoutMs: number, hooks: PublisherHooks<Message>) {
    this.#hooks = hooks
    this.#link = link
    this.#clock = clock
    this.#confirmTimeoutMs = confirmTimeoutMs
  }

  /** Rejects when nothing was sent. */
  async publish(messages: readonly Message[]): Promise<readonly Outcome[]> {
    if (this.#link.blocked !== undefined) {
      throw new MessagingError('throttled', `RabbitMQ is blocking publishers: ${this.#link.blocked}`, {
        retryable: true,
        fate: 'not-sent',
      })
    }
    if (messages.length === 0) return []
    const line = this.#line ?? (await this.#open())
    return line.send(messages)
  }

  async #open(): Promise<Line<Message>> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Line<Message>> {
    try {
      const channel = await this.#link.bounded('Opening a channel', this.#link.confirmChannel())
      const line = new Line(channel, this.#link, this.#clock, this.#confirmTimeoutMs, this.#hooks)
      this.#line = line
      channel.on('close', () => {
        if (this.#line === line) this.#line = undefined
      })
      return line
    } catch (error) {
      throw toDriverError(error, 'Publishing failed', { fate: 'not-sent' })
    }
  }
}

/** What is under way on one confirm channel. */
class Line<Message extends Outgoing> {
  readonly #channel: ConfirmChannel
  readonly #link: Link
  readonly #clock: Clock
  readonly #confirmTimeoutMs: number
  readonly #hooks: PublisherHooks<Message>
  #waiting: Waiting<Message>[] = []
  #isWritable = true
  #closedBy: unknown
  /** Messages the broker returned as unroutable and has not confirmed yet; the confirm follows at once. */
  readonly #returned = new Map<string, number>()

  constructor(
    channel: ConfirmChannel,
    link: Link,
    clock: Clock,
    confirmTimeoutMs: number,
    hooks: PublisherHooks<Message>,
  ) {
    this.#hooks = hooks
    this.#channel = channel
    this.#link = link
    this.#clock = clock
    this.#confirmTimeoutMs = confirmTimeoutMs
    channel.on('error', (error) => {
      this.#closedBy = error
    })
    channel.on('return', ({ fields, properties }) => {
      const key = returnKey(fields.exchange, fields.routingKey, properties.messageId)
      this.#returned.set(key, (this.#returned.get(key) ?? 0) + 1)
    })
    channel.on('drain', () => {
      this.#isWritable = true
      this.#write()
    })
    channel.on('close', () => this.#onClosed())
  }

  send(messages: readonly Message[]): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#confirmTimeoutMs, () => this.#onTimeout(batch))
      const batch: Batch<Message> = {
        messages,
        outcomes: new Array<Outcome | undefined>(messages.length).fill(undefined),
        open: messages.length,
        done: (outcomes) => {
          cancel()
          resolve(outcomes)
        },
      }
      for (let index = 0; index < messages.length; index += 1) this.#waiting.push({ batch, index })
      this.#write()
    })
  }

  #write(): void {
    let written = 0
    while (this.#isWritable && written < this.#waiting.length) {
      const next = this.#waiting[written]
      written += 1
      if (next !== undefined && next.batch.outcomes[next.index] === undefined)
        this.#writeOne(next.batch, next.index)
    }
    this.#waiting = written === this.#waiting.length ? [] : this.#waiting.slice(written)
  }

  #writeOne(batch: Batch<Message>, index: number): void {
    const message = batch.messages[index]
    if (message === undefined) return
    if (this.#isWithheld(batch, index)) return
    try {
      this.#isWritable = confirmedPublish(this.#channel, message, (error) =>
        this.#settle(batch, index, this.#outcomeOf(message, error)),
      )
    } catch (error) {
      // amqplib encodes all of it before it writes any of it, so the channel is as it was.
      this.#settle(batch, index, failed(toEncodingError(error)))
    }
  }

  /** On ordered topics nothing may overtake a message of its lane that was refused. */
  #isWithheld(batch: Batch<Message>, index: number): boolean {
    const message = batch.messages[index]
    const lane = message === undefined ? undefined : this.#hooks.lane?.(message)
    if (lane === undefined) return false
    const isRefused = (earlier: Message, position: number) =>
      batch.outcomes[position]?.ok === false && this.#hooks.lane?.(earlier) === lane
    if (!batch.messages.slice(0, index).some(isRefused)) return false
    this.#settle(batch, index, withheld(lane))
    return true
  }

  #outcomeOf(message: Message, error: unknown): Outcome {
    if (error === null)
      return this.#returned.size > 0 && this.#takeReturned(message) ? this.#hooks.onUnroutable(message) : done
    if (faultOf(error).kind === 'nacked') {
      return failed(
        new MessagingError('rejected', 'RabbitMQ refused the message: a queue is full or not available', {
          retryable: true,
          cause: error,
          // Another group's queue may have taken it.
          fate: 'unknown',
        }),
      )
    }
    return failed(toPublishError(this.#closedBy ?? error, message.exchange, message.body.byteLength))
  }

  #takeReturned({ exchange, routingKey, options }: Outgoing): boolean {
    const key = returnKey(exchange, routingKey, options.messageId)
    const count = this.#returned.get(key)
    if (count === undefined) return false
    if (count === 1) this.#returned.delete(key)
    else this.#returned.set(key, count - 1)
    return true
  }

  #settle(batch: Batch<Message>, index: number, outcome: Outcome): void {
    if (batch.outcomes[index] !== undefined) return
    batch.outcomes[index] = outcome
    batch.open -= 1
    if (batch.open === 0) batch.done(batch.outcomes.map((each) => each ?? outcome))
  }

  #onTimeout(batch: Batch<Message>): void {
    const unconfirmed = new MessagingError(
      'timeout',
      `RabbitMQ did not confirm within ${this.#confirmTimeoutMs} ms`,
      {
        retryable: true,
        fate: 'unknown',
      },
    )
    for (const index of batch.messages.keys()) this.#settle(batch, index, failed(unconfirmed))
    // A broker that blocks publishers is alive; any other that stays silent for so long is not.
    if (this.#link.blocked === undefined) this.#link.cut()
  }

  #onClosed(): void {
    // amqplib's callbacks report what was written; this is the rest.
    const error = new MessagingError('disconnected', 'The channel was closed before the message was sent', {
      retryable: true,
      cause: this.#closedBy,
      fate: 'not-sent',
    })
    for (const { batch, index } of this.#waiting) this.#settle(batch, index, failed(error))
    this.#waiting = []
  }
}

function returnKey(exchange: string, routingKey: string, messageId: unknown): string {
  return `${exchange}\n${routingKey}\n${messageId}`
}

function toEncodingError(thrown: unknown): MessagingError {
  const detail = thrown instanceof Error ? `: ${thrown.message}` : ''
  const { kind } = faultOf(thrown)
  if (kind === 'channel-closed') {
    return new MessagingError('disconnected', `The channel is closed${detail}`, {
      retryable: true,
      fate: 'not-sent',
      cause: thrown,
    })
  }
  const options = { fate: 'not-sent', cause: thrown } as const
  if (kind !== 'headers-too-long') {
    return new MessagingError('rejected', `The message cannot be encoded as AMQP${detail}`, options)
  }
  const message = `The headers exceed the limits of AMQP: 64 KiB in total, and 255 bytes for a name${detail}`
  return new MessagingError('too-large', message, options)
}
