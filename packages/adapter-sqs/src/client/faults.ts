import { toError } from '@waybill/core/driver'

/**
 * What went wrong, in terms that do not name the client. A driver on another client library would replace this file and
 * nothing outside of `client/`.
 */
export type Fault =
  /** The service answered, with error codes of its API, an HTTP status, or both. */
  | {
      readonly kind: 'answered'
      readonly errorCodes: readonly string[]
      readonly status: number | undefined
    }
  | {
      readonly kind: /** No connection was made, so nothing was sent. */
        | 'unreachable'
        | 'connection-lost'
        /** No answer in time. */
        | 'timeout'
        /** None were given, or they could not be fetched. */
        | 'no-credentials'
        /** One side speaks no TLS, or the certificate will not do. */
        | 'tls'
    }

/** Node.js system errors that come before anything was sent (Node.js documentation, "Common system errors"; DNS errors). */
const neverConnected = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])
// The SDK names the first two `TimeoutError` as well.
const connectionLost = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE'])

/** OpenSSL's errors, and Node.js's for certificates (Node.js documentation, "OpenSSL error codes", "X509 certificate error codes"). */
const tlsCode = /^(EPROTO$|ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(GET_ISSUER|VERIFY))/

export function faultOf(thrown: unknown): Fault {
  const systemCode = textOf(thrown, 'code') ?? ''
  if (neverConnected.has(systemCode)) return { kind: 'unreachable' }
  if (tlsCode.test(systemCode)) return { kind: 'tls' }
  if (connectionLost.has(systemCode)) return { kind: 'connection-lost' }
  const errorCodes = errorCodesOf(thrown)
  if (errorCodes.includes('TimeoutError') || systemCode === 'ETIMEDOUT') return { kind: 'timeout' }
  if (errorCodes.includes('CredentialsProviderError')) return { kind: 'no-credentials' }
  return { kind: 'answered', errorCodes, status: statusOf(thrown) }
}

/** The service's error codes: the SDK names its errors by one, and tells another where a query protocol had it. */
export function errorCodesOf(thrown: unknown): readonly string[] {
  const names = [textOf(thrown, 'name'), textOf(thrown, 'Code')]
  return names.flatMap((name) => (name === undefined || name === 'Error' ? [] : [name]))
}

/** The error for people, with its code. */
export function detailOf(thrown: unknown): string {
  const name = textOf(thrown, 'name')
  const detail = toError(thrown).message || textOf(thrown, 'code') || 'no details'
  const saysNothing = name === undefined || name === 'Error' || faultOf(thrown).kind === 'connection-lost'
  return saysNothing ? detail : `${name}: ${detail}`
}

function textOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !(name in value)) return undefined
  const property: unknown = Reflect.get(value, name)
  return typeof property === 'string' ? property : undefined
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}
