import type { OutboundMessage } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { decodeNotice, encodeNotice } from './notices.ts'

const message: OutboundMessage = {
  topic: { name: 'prices', ordered: false, partitions: 8, native: {} },
  ...{
    type: 't',
    id: '1',
    key: undefined,
    body: Buffer.from('{"id":"1"}\n'),
    contentType: 'application/cloudevents+json',
  },
  ...{ attributes: {}, headers: {}, delayMs: 0, priority: undefined, expiresAt: undefined },
}

describe('notices', () => {
  it('without headers are the body and nothing else', () => {
    expect(encodeNotice(message)).toEqual(message.body)
    expect(decodeNotice(Buffer.from('{"id":"1"}\n'))).toMatchObject({ body: message.body, headers: {} })
  })

  it('carry headers in a line before the body', () => {
    const headers = { name: 'Zoë', lines: 'a\nb' }
    expect(decodeNotice(encodeNotice({ ...message, headers }))).toMatchObject({ body: message.body, headers })
  })
})
