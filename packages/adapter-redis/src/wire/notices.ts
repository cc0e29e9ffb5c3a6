import type { Delivery, OutboundMessage } from '@waybill/core/driver'
import { decodeHeaders, encodeHeaders, noHeaders, toBuffer, usualContentType } from './entries.ts'

// Notices have the body alone as payload, which any subscriber can read; one with headers begins with a line of them.
const headersMark = 'waybill-headers: '

export function encodeNotice(message: OutboundMessage): Buffer {
  const headers = encodeHeaders(message.headers)
  const body = toBuffer(message.body)
  return headers === '' ? body : Buffer.concat([Buffer.from(`${headersMark}${headers}\n`), body])
}

export function decodeNotice(payload: Buffer): Delivery {
  const end = payload.subarray(0, headersMark.length).equals(Buffer.from(headersMark))
    ? payload.indexOf('\n')
    : -1
  const body = payload.subarray(end + 1)
  const headers = end < 0 ? noHeaders : decodeHeaders(payload.toString('utf8', headersMark.length, end))
  return {
    body,
    contentType: usualContentType,
    headers,
    attempt: 1,
    deliveries: 1,
    crashes: 0,
    key: undefined,
  }
}
