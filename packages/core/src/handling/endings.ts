import type { DeliveryInHand } from '../deliveries/delivery.ts'
import { attemptsAskedFor, headerNames } from '../driver/transport-headers.ts'
import type { Verdict } from '../driver.ts'
import { MessagingError, toError, toMessagingError } from '../lib/errors.ts'
import { decideRetry, defaultRetry, type RetryDecision } from '../lib/retry.ts'
import { SkipDuplicate } from '../lib/skip-duplicate.ts'
import type { Answers } from './answers.ts'
import { deadLetterHeaders, postponedHeaders, retryHeaders } from './failure-record.ts'
import type { ActiveHandler, Handlers } from './handlers.ts'
import type { ProcessingSettings } from './processing-settings.ts'
import { withinContext } from './propagation.ts'

/** The result of an attempt. */
export type Disposition =
  /** `settled` is called once the verdict is durable. */
  | {
      readonly kind: 'settle'
      readonly verdict: Verdict
      readonly settled?: () => void
      /** Its handler has had its effect: if the verdict is lost, it need not run again. */
      readonly isHandled?: boolean
    }
  /** To be tried again by this member; its key waits until then. `isUsed`: a handler has had its message, and may have changed it. */
  | {
      readonly kind: 'back-off'
      readonly delayMs: number
      readonly attempt: number
      readonly isUsed?: boolean
    }

export const release: Disposition = { kind: 'settle', verdict: { kind: 'release' } }

// How soon a duplicate of a message that is being handled looks again.
const duplicateDelayMs = 5000

export interface EndingsParts {
  readonly settings: ProcessingSettings
  readonly handlers: Handlers
  readonly answers: Answers
}

/** The ways in which a delivery can end: its verdict, and what is told of it once that is durable. */
export class Endings {
  readonly #settings: ProcessingSettings
  readonly #handlers: Handlers
  readonly #answers: Answers

  constructor({ settings, handlers, answers }: EndingsParts) {
    this.#settings = settings
    this.#handlers = handlers
    this.#answers = answers
  }

  /** Done with: handled, or not to be handled. `settled` is called once the ack is durable. */
  acked(delivery: DeliveryInHand, settled: () => void): Extract<Disposition, { kind: 'settle' }> {
    const { broadcast, reader, emit } = this.#settings
    const { headers } = delivery.delivery
    if (broadcast || headers[headerNames.stages] === undefined) {
      return { kind: 'settle', verdict: { kind: 'ack' }, settled }
    }
    const told = () => {
      settled()
      const failed = (error: unknown) =>
        emit('failure', { what: 'stages after the ack', error: toMessagingError(error, 'A stage failed') })
      reader.done(delivery.delivery).catch(failed)
    }
    return { kind: 'settle', verdict: { kind: 'ack' }, settled: told }
  }

  /** What an error of the handler's, or of its middleware, comes to: another attempt, or none. */
  failed(delivery: DeliveryInHand, handler: ActiveHandler, error: unknown): Disposition {
    const { emit } = this.#settings
    if (MessagingError.is(error) && error.code === 'skip') {
      const { message: reason } = error
      // What was thrown may throw again when it is read.
      const readable = toError(error)
      return this.acked(delivery, () => {
        emit('skipped', { ...delivery.info, reason })
        // The message that it is a duplicate of has its own reply.
        if (!(error instanceof SkipDuplicate)) this.tell(delivery, 'skipped', readable)
      })
    }
    this.#noteFailure(delivery)
    const decision = this.#decide(delivery, handler, error)
    if (!decision.retry) return this.giveUp(delivery, decision.reason, toError(error))
    const event = { ...delivery.info, delayMs: decision.delayMs, error: toError(error) }
    return this.again(delivery, decision.delayMs, delivery.attempt + 1, () => emit('retried', event))
  }

  /** No more attempts: a dead letter, or dropped where there are none. */
  giveUp(delivery: DeliveryInHand, reason: string, error: Error | undefined): Disposition {
    const { clock, emit, broadcast } = this.#settings
    const event = { ...delivery.info, reason, error }
    if (broadcast) return this.acked(delivery, () => emit('dropped', event))
    this.#noteFailure(delivery)
    const headers = deadLetterHeaders(delivery, reason, error, clock.now())
    return {
      kind: 'settle',
      verdict: { kind: 'dead-letter', headers },
      settled: () =>
        this.inContext(delivery, () => {
          emit('deadLettered', event)
          this.tell(delivery, reason, error)
        }),
    }
  }

  /** To come again, as that attempt. `scheduled` is called once that is certain. */
  again(delivery: DeliveryInHand, delayMs: number, attempt: number, scheduled: () => void): Disposition {
    if (this.#waitsHere(delayMs)) {
      scheduled()
      return { kind: 'back-off', delayMs, attempt, isUsed: true }
    }
    const headers = retryHeaders(delivery, attempt, this.#settings.clock.now())
    return { kind: 'settle', verdict: { kind: 'retry', delayMs, headers }, settled: scheduled }
  }

  /** To come again as the attempt it is. */
  postponed(delivery: DeliveryInHand, delayMs: number, isUsed: boolean): Disposition {
    const { attempt } = delivery
    if (this.#waitsHere(delayMs)) return { kind: 'back-off', delayMs, attempt, isUsed }
    const headers = postponedHeaders(delivery, attempt)
    const settled = () => this.#settings.emit('postponed', { ...delivery.info, delayMs })
    return { kind: 'settle', verdict: { kind: 'retry', delayMs, headers }, settled }
  }

  /** Of a message that was handled, or is being handled elsewhere. */
  duplicate(
    delivery: DeliveryInHand,
    state: { readonly state: 'done' } | { readonly state: 'processing'; readonly remainingMs: number },
  ): Disposition {
    const { info, attempt } = delivery
    const settled = () => this.#settings.emit('duplicate', { ...info, state: state.state })
    if (state.state === 'done') return this.acked(delivery, settled)
    // Some databases report odd numbers for a lease that never ends or has just ended.
    const { remainingMs } = state
    const delayMs = remainingMs > 0 ? Math.min(remainingMs, duplicateDelayMs) : duplicateDelayMs
    return this.again(delivery, delayMs, attempt, settled)
  }

  /** Tells the requester that there will be no reply, if those who handle such requests are here. */
  tell(delivery: DeliveryInHand, reason: string, error: Error | undefined): void {
    const definition = delivery.isRead
      ? this.#handlers.find(delivery.message.type)?.definition
      : this.#handlers.anyRequest
    if (definition?.reply !== undefined) this.#answers.gaveUp(delivery, definition, reason, error)
  }

  /** Runs it within what was propagated with the message. */
  inContext<Result>(delivery: DeliveryInHand, run: () => Result): Result {
    return withinContext(this.#settings.propagation, delivery, run, this.#propagationFailed)
  }

  /** Its retry and its replay tell where it failed. */
  #noteFailure(delivery: DeliveryInHand): void {
    try {
      delivery.failedIn = this.#settings.propagation?.failedIn?.() ?? delivery.failedIn
    } catch (error) {
      this.#propagationFailed(error)
    }
  }

  readonly #propagationFailed = (thrown: unknown): void => {
    const error = toMessagingError(thrown, 'The propagation failed')
    this.#settings.emit('failure', { what: 'propagation', error })
  }

  #decide(delivery: DeliveryInHand, handler: ActiveHandler, error: unknown): RetryDecision {
    const { emit } = this.#settings
    const { attempt } = delivery
    const asked = attemptsAskedFor(delivery.delivery.headers)
    const retry = asked === undefined ? handler.retry : { ...handler.retry, attempts: asked }
    try {
      return decideRetry(retry, attempt, error)
    } catch (broken) {
      emit('failure', { what: 'retry policy', error: toMessagingError(broken, 'The retry policy threw') })
      return decideRetry({ ...defaultRetry, attempts: retry.attempts }, attempt, toError(error))
    }
  }

  /** The broker cannot bring it back after that delay. */
  #waitsHere(delayMs: number): boolean {
    const { ordered, broadcast, maxRetryMs } = this.#settings
    return ordered || broadcast || maxRetryMs === 0 || delayMs > maxRetryMs
  }
}
