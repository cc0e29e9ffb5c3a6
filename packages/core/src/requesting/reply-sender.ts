import type { Asked, Replies } from '../handling/answers.ts'
import type { Clock } from '../lib/clock.ts'
import type { RequestFailure } from '../lib/errors.ts'
import type { Producer } from '../sending/producer.ts'
import { outcomeName, type ReplyMessages, type ReplyOutcome } from './reply-message.ts'

// For replies to requests that never expire.
const longestMs = 30_000

/** Sends replies, each for as long as somebody waits for it. */
export class ReplySender implements Replies {
  readonly #messages: ReplyMessages
  readonly #clock: Clock
  readonly #producer: () => Producer

  constructor(messages: ReplyMessages, clock: Clock, producer: () => Producer) {
    this.#messages = messages
    this.#clock = clock
    this.#producer = producer
  }

  reply(asked: Asked, data: unknown): Promise<void> {
    return this.#send(asked, 'replied', data)
  }

  gaveUp(asked: Asked, failure: RequestFailure): Promise<void> {
    return this.#send(asked, 'failed', failure)
  }

  async #send(
    { inbox, id, expiresAt, definition }: Asked,
    outcome: ReplyOutcome,
    data: unknown,
  ): Promise<void> {
    const leftMs = expiresAt === undefined ? undefined : expiresAt.getTime() - this.#clock.now()
    if (leftMs !== undefined && leftMs <= 0) return
    await this.#producer().send(this.#messages.to(inbox, definition), data, {
      causationId: id,
      metadata: { [outcomeName]: outcome },
      timeout: Math.min(leftMs ?? longestMs, longestMs),
      ...(leftMs !== undefined && { expiresIn: leftMs }),
    })
  }
}
