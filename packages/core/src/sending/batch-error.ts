import { MessagingError } from '../lib/errors.ts'
import type { Message } from '../messages/message.ts'

/**
 * Some messages of a batch were not sent; the others were.
 *
 * ```ts
 * try {
 *   await producer.sendBatch(OrderPlaced, orders)
 * } catch (error) {
 *   if (!(error instanceof BatchError)) throw error
 *   for (const { index, id, error: reason } of error.failures) console.log(orders[index], id, reason.fate)
 * }
 * ```
 */
export class BatchError extends MessagingError {
  readonly failures: readonly {
    readonly index: number
    readonly id: string
    readonly error: MessagingError
  }[]
  readonly sent: readonly Message[]

  constructor(failures: BatchError['failures'], sent: readonly Message[]) {
    const total = failures.length + sent.length
    const first = failures[0]?.error
    super(
      'rejected',
      `${failures.length} of ${total} messages were not sent; the first because: ${first?.message}`,
      {
        cause: first,
        retryable: failures.every(({ error }) => error.retryable),
        fate: failures.every(({ error }) => error.fate === 'not-sent') ? 'not-sent' : 'unknown',
      },
    )
    this.failures = failures
    this.sent = sent
  }
}
