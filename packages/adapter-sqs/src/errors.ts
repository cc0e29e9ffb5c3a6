import { type ErrorCode, type Fate, MessagingError } from '@waybill/core/driver'
import { missingRights, refusedCredentials, tlsFailed, unreachable } from '@waybill/core/driver-kit'
import { detailOf, errorCodesOf, type Fault, faultOf } from './client/faults.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly fate: Fate
}

function refused(code: ErrorCode, retryable = false): Meaning {
  return { code, retryable, fate: 'not-sent' }
}

/** By the services' error codes (Amazon SQS and SNS API References, "Errors" of each action and "Common Errors"). */
const meanings: Readonly<Record<string, Meaning>> = {
  QueueDoesNotExist: refused('topology-missing', true),
  'AWS.SimpleQueueService.NonExistentQueue': refused('topology-missing', true),
  NotFound: refused('topology-missing', true),
  NotFoundException: refused('topology-missing', true),
  // A deleted queue's name rests for 60 seconds.
  QueueDeletedRecently: refused('rejected', true),
  'AWS.SimpleQueueService.QueueDeletedRecently': refused('rejected', true),
  QueueNameExists: refused('topology-mismatch'),
  QueueAlreadyExists: refused('topology-mismatch'),
  AccessDenied: refused('access-denied'),
  AccessDeniedException: refused('access-denied'),
  AuthorizationError: refused('access-denied'),
  AuthorizationErrorException: refused('access-denied'),
  // The next try asks for fresh credentials.
  ExpiredToken: refused('access-denied', true),
  ExpiredTokenException: refused('access-denied', true),
  IncompleteSignature: refused('access-denied'),
  InvalidAccessKeyId: refused('access-denied'),
  InvalidClientTokenId: refused('access-denied'),
  // A wrong secret, with SQS's JSON protocol.
  InvalidSignatureException: refused('access-denied'),
  InvalidSecurity: refused('access-denied'),
  KmsAccessDenied: refused('access-denied'),
  KMSAccessDenied: refused('access-denied'),
  MissingAuthenticationToken: refused('access-denied'),
  NotAuthorized: refused('access-denied'),
  OptInRequired: refused('access-denied'),
  SignatureDoesNotMatch: refused('access-denied'),
  UnrecognizedClientException: refused('access-denied'),
  KmsThrottled: refused('throttled', true),
  KMSThrottling: refused('throttled', true),
  OverLimit: refused('throttled', true),
  RequestThrottled: refused('throttled', true),
  RequestThrottledException: refused('throttled', true),
  Throttled: refused('throttled', true),
  ThrottledException: refused('throttled', true),
  Throttling: refused('throttled', true),
  ThrottlingException: refused('throttled', true),
  TooManyRequestsException: refused('throttled', true),
  BatchRequestTooLong: refused('too-large'),
  'AWS.SimpleQueueService.BatchRequestTooLong': refused('too-large'),
}

/** Where the service did not answer. */
const withoutAnswer: Readonly<Record<Exclude<Fault['kind'], 'answered'>, Meaning>> = {
  unreachable: refused('disconnected', true),
  'no-credentials': refused('access-denied'),
  tls: refused('failed'),
  timeout: { code: 'timeout', retryable: true, fate: 'unknown' },
  'connection-lost': { code: 'disconnected', retryable: true, fate: 'unknown' },
}

function meaningOf(thrown: unknown): Meaning {
  const fault = faultOf(thrown)
  if (fault.kind !== 'answered') return withoutAnswer[fault.kind]
  for (const name of fault.errorCodes) {
    const meaning = meanings[name]
    if (meaning !== undefined) return meaning
  }
  const { status } = fault
  // Whatever its name: who we are, or what we may do.
  if (status === 401 || status === 403) return refused('access-denied')
  if (status !== undefined && status >= 500) return { code: 'failed', retryable: true, fate: 'unknown' }
  if (status !== undefined && status >= 400) return refused('rejected')
  return { code: 'failed', retryable: false, fate: 'unknown' }
}

/**
 * Whether the service knows who we are and does not allow it (IAM User Guide, "Troubleshoot access denied error messages");
 * credentials that are wrong have other names.
 */
export function isForbidden({ code, cause }: MessagingError): boolean {
  return code === 'access-denied' && hasForbiddenCode(cause)
}

function hasForbiddenCode(error: unknown): boolean {
  return errorCodesOf(error).some((code) => forbidden.has(code))
}

const forbidden = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AuthorizationError',
  'AuthorizationErrorException',
])

/** Whatever a call to the service threw, as an error of ours. */
export function toServiceError(thrown: unknown, what: string): MessagingError {
  if (MessagingError.is(thrown)) return thrown
  const { code, retryable, fate } = meaningOf(thrown)
  const detail = detailOf(thrown)
  if (hasForbiddenCode(thrown)) return missingRights({ what, broker: 'SQS', reason: detail, cause: thrown })
  return new MessagingError(code, `${what}: ${detail}`, { retryable, fate, cause: thrown })
}

/** Access key, secret or signature are wrong, as opposed to expired or not allowed. */
const wrongIdentity = new Set([
  'IncompleteSignature',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'InvalidSignatureException',
  'MissingAuthenticationToken',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
])

/** Why no connection could be made, in the words that every adapter has for it. */
export function toConnectError(
  error: MessagingError,
  { address, accessKey, isOverTls }: { address: string; accessKey: string | undefined; isOverTls: boolean },
): MessagingError {
  const { code, cause, retryable, message } = error
  const peer = { broker: 'SQS', address, cause }
  if (cause === undefined) return error
  const reason = detailOf(cause)
  if (errorCodesOf(cause).some((each) => wrongIdentity.has(each))) {
    return refusedCredentials({ ...peer, user: accessKey })
  }
  const { kind } = faultOf(cause)
  if (kind === 'tls') return tlsFailed({ ...peer, reason, isOurs: isOverTls, secureScheme: 'sqs+https' })
  if (code === 'disconnected' || code === 'timeout') return unreachable({ ...peer, reason })
  return code === 'failed' ? new MessagingError('connection-failed', message, { retryable, cause }) : error
}

/** An entry of a batch that was not carried out (Amazon SQS API Reference, BatchResultErrorEntry). */
export interface EntryFailure {
  readonly Code?: string | undefined
  readonly Message?: string | undefined
  readonly SenderFault?: boolean | undefined
}

export function toEntryError(failure: EntryFailure, what: string): MessagingError {
  const { Code = 'Unknown', Message = 'no details', SenderFault = false } = failure
  const known = meanings[Code]
  const isTooLarge = /must be shorter|too long/i.test(Message)
  const { code, retryable } = known ?? refused(isTooLarge ? 'too-large' : 'rejected', !SenderFault)
  return new MessagingError(code, `${what}: ${Code}: ${Message}`, {
    retryable,
    fate: 'not-sent',
    cause: failure,
  })
}

/**
 * Whether the entry failed because its receipt is outdated: the message was deleted, or its visibility timeout is
 * over (Amazon SQS API Reference, ChangeMessageVisibility and DeleteMessage, "Errors"; the last is what FIFO queues say).
 */
export function isStaleReceipt({ Code = '', Message = '' }: EntryFailure): boolean {
  if (/MessageNotInflight|ReceiptHandleIsInvalid|InvalidReceiptHandle/.test(Code)) return true
  return /InvalidParameterValue/.test(Code) && /receipt handle|does not exist|not available/i.test(Message)
}
