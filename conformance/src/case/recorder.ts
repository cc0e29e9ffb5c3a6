import type { HandlerContext, Message } from '@waybill/core'

/** One call of a handler. */
export interface RecordedDelivery {
  readonly id: string
  readonly message: Message
  readonly topic: string
  readonly group: string
  readonly attempt: number
  readonly deliveries: number
  /** Who got it, as the case calls it. */
  readonly member: string
  /** `performance.now()`; `endedAt` is undefined while the handler runs. */
  readonly startedAt: number
  endedAt: number | undefined
  outcome: 'resolved' | 'thrown' | undefined
}

type Work = (message: Message, context: HandlerContext) => unknown

/** Keeps every delivery, repeated ones too, in the order in which handlers were called. */
export class Recorder {
  readonly deliveries: RecordedDelivery[] = []
  #inFlight = 0
  #mostInFlight = 0

  /** A handler that records and then does `work`. */
  handler(member = 'only', work: Work = () => undefined) {
    return async (message: Message, context: HandlerContext): Promise<void> => {
      const delivery = this.#begin(message, context, member)
      try {
        await work(message, context)
        delivery.outcome = 'resolved'
      } catch (error) {
        delivery.outcome = 'thrown'
        throw error
      } finally {
        delivery.endedAt = performance.now()
        this.#inFlight -= 1
      }
    }
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get mostInFlight(): number {
    return this.#mostInFlight
  }

  get ids(): string[] {
    return this.deliveries.map(({ id }) => id)
  }

  of(message: Pick<Message, 'id'>): RecordedDelivery[] {
    return this.deliveries.filter(({ id }) => id === message.id)
  }

  byMember(member: string): RecordedDelivery[] {
    return this.deliveries.filter((delivery) => delivery.member === member)
  }

  #begin(message: Message, context: HandlerContext, member: string): RecordedDelivery {
    this.#inFlight += 1
    this.#mostInFlight = Math.max(this.#mostInFlight, this.#inFlight)
    const { topic, group, attempt, deliveries } = context
    const delivery: RecordedDelivery = {
      id: message.id,
      message,
      topic,
      group,
      attempt,
      deliveries,
      member,
      startedAt: performance.now(),
      endedAt: undefined,
      outcome: undefined,
    }
    this.deliveries.push(delivery)
    return delivery
  }
}
