import { MessagingError } from '@waybill/core'

/**
 * A stream is not at the version that was expected: somebody else has appended to it. Read it again and decide anew.
 *
 * ```ts
 * if (error instanceof StreamConflict) console.log(error.stream, error.expected, error.actual)
 * ```
 */
export class StreamConflict extends MessagingError {
  readonly stream: string
  readonly expected: number
  readonly actual: number

  constructor(stream: string, expected: number, actual: number) {
    const what = `Stream "${stream}" is at version ${actual}, not ${expected}; nothing was appended`
    super('rejected', `${what}. Read it again and decide anew`, { retryable: true })
    this.stream = stream
    this.expected = expected
    this.actual = actual
  }
}
