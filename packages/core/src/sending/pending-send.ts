import type { OutboundMessage } from '../driver.ts'
import { type Fate, MessagingError } from '../lib/errors.ts'
import type { Place, Roster } from '../lib/roster.ts'
import type { Topic } from '../messages/topic.ts'

/** Why a send ends without an answer from the broker. */
export type EndCode = 'timeout' | 'aborted' | 'closed'

const reasons: Readonly<Record<EndCode, string>> = {
  timeout: 'no answer from the broker within the timeout',
  aborted: 'the signal given to send was aborted',
  closed: 'the bus was closed before the broker answered',
}

/** One message that waits for room, for its turn, or for the broker's answer. The first end counts. */
export class PendingSend {
  readonly topic: Topic
  readonly message: OutboundMessage
  /** When a delayed message falls due, by the monotonic clock: later tries have less of the delay left. */
  readonly #dueAt: number | undefined
  readonly #onEnd: (error: MessagingError | undefined) => void
  #queue: Roster<PendingSend> | undefined
  #place: Place<PendingSend> | undefined
  /** Unknown from the moment the driver has it until a certain answer. */
  fate: Fate = 'not-sent'
  /** How often it was refused for a reason that may go away. */
  refusals = 0
  hasRoom = false
  ended = false
  #lastError: MessagingError | undefined

  constructor(
    topic: Topic,
    message: OutboundMessage,
    dueAt: number | undefined,
    onEnd: (error: MessagingError | undefined) => void,
  ) {
    this.topic = topic
    this.message = message
    this.#dueAt = dueAt
    this.#onEnd = onEnd
  }

  /** Waits in the queue from now on, at its end or its front, until it is taken or ends. */
  waitIn(queue: Roster<PendingSend>, at: 'end' | 'front' = 'end'): void {
    this.leaveQueue()
    this.#queue = queue
    this.#place = at === 'end' ? queue.add(this) : queue.addFirst(this)
  }

  leaveQueue(): void {
    if (this.#place !== undefined) this.#queue?.remove(this.#place)
    this.#queue = undefined
    this.#place = undefined
  }

  /** As the driver gets it now. */
  outbound(monotonicNow: number): OutboundMessage {
    if (this.#dueAt === undefined) return this.message
    // Whole milliseconds, rounded up: never early.
    const delayMs = Math.min(this.message.delayMs, Math.ceil(Math.max(0, this.#dueAt - monotonicNow)))
    return { ...this.message, delayMs }
  }

  succeed(): void {
    this.#end(undefined)
  }

  /** The broker's final answer. */
  fail(error: MessagingError): void {
    this.#end(this.#failure(error))
  }

  /** The broker refused it, but it may be sent again. */
  refused(error: MessagingError): void {
    this.refusals += 1
    this.#lastError = error
  }

  /** The send has ended: its caller has an error. */
  giveUp(code: EndCode): void {
    const lastError = this.#lastError
    const room = 'no room was left among the messages under way: the broker is slower than its senders'
    const why = code === 'timeout' && !this.hasRoom ? `${room}, within the timeout` : reasons[code]
    const text = lastError === undefined ? why : `${why}; the last attempt failed: ${lastError.message}`
    const options = { retryable: code === 'timeout', cause: lastError }
    this.#end(this.#failure(new MessagingError(code, text, options)))
  }

  #failure(error: MessagingError): MessagingError {
    const { type, id, topic } = this.message
    const what = `Sending ${type} ${id} to topic ${topic.name} failed: ${error.message}`
    const { code, retryable } = error
    return new MessagingError(code, what, { cause: error, retryable, fate: this.fate })
  }

  #end(error: MessagingError | undefined): void {
    if (this.ended) return
    this.ended = true
    this.leaveQueue()
    this.#onEnd(error)
  }
}
