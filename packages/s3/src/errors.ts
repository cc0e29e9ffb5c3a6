import { type ErrorCode, MessagingError, toError } from '@waybill/core/driver'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
}

const passing = (code: ErrorCode): Meaning => ({ code, retryable: true })

/** By the service's error codes (Amazon S3 API Reference, "Error responses"). Those of what may pass or be mended are retryable. */
const meanings: ReadonlyMap<string, Meaning> = new Map([
  ['SlowDown', passing('throttled')],
  ['RequestLimitExceeded', passing('throttled')],
  ['ThrottlingException', passing('throttled')],
  ['RequestTimeout', passing('timeout')],
  ['TimeoutError', passing('timeout')],
  ['RequestTimeTooSkewed', passing('access-denied')],
  ['ExpiredToken', passing('access-denied')],
  ['CredentialsProviderError', passing('access-denied')],
  ['NoSuchBucket', passing('topology-missing')],
  ['EntityTooLarge', { code: 'too-large', retryable: false }],
  ['InvalidBucketName', { code: 'rejected', retryable: false }],
])

/** What the SDK threw, as an error of ours. */
export function toStoreError(thrown: unknown, what: string): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const { name, message } = toError(thrown)
  const { code, retryable } = meanings.get(name) ?? byStatus(statusOf(thrown))
  const hint =
    code === 'access-denied'
      ? '. It takes s3:PutObject, s3:GetObject and s3:DeleteObject for the prefix, and s3:ListBucket, without which a body that is gone looks forbidden'
      : ''
  return new MessagingError(code, `${what}: ${name === 'Error' ? '' : `${name}: `}${message}${hint}`, {
    retryable,
    fate: 'not-sent',
    cause: thrown,
  })
}

/** An answer of 4xx is about the request, and will be the same next time, unless it is about who asks: that is mended from outside. */
function byStatus(status: number | undefined): Meaning {
  if (status === undefined) return passing('disconnected')
  if (status === 401 || status === 403) return passing('access-denied')
  if (status === 429 || status === 503) return passing('throttled')
  return status >= 400 && status < 500 ? { code: 'rejected', retryable: false } : passing('failed')
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

/** There is no such object; a bucket that is missing is another matter. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && (error.name === 'NoSuchKey' || error.name === 'NotFound')
}
