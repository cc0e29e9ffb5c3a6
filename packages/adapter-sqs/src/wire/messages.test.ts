import { describe, expect, test } from 'vitest'
import {
  type Content,
  decode,
  deduplicationIdOf,
  encode,
  placeOf,
  type Received,
  remainingDelay,
  splitDelay,
} from './messages.ts'

function roundTrip(content: Content, asText = true): Received {
  const { text, attributes } = encode(content, asText)
  return decode({ MessageId: 'm', ReceiptHandle: 'r', Body: text, MessageAttributes: attributes })
}

function contentOf(body: Uint8Array | string, headers: Record<string, string> = {}): Content {
  return { body: Buffer.from(body), contentType: 'text/plain', headers }
}

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

describe('bodies', () => {
  test.each([
    ['JSON', '{"a":"é😀\\u0000"}', true],
    ['a byte order mark', '\uFEFFtext', true],
    ['line ends and tabs', 'a\r\n\tb', true],
    ['nothing', '', false],
    ['a control character', 'a\u0000b', false],
    ['characters that SQS replaces', 'a\uFFFEb', false],
    ['bytes that are no text', everyByte, false],
  ])('of %s arrive as they were sent', (_, body, isText) => {
    const content = contentOf(body)
    expect(encode(content).text === Buffer.from(body).toString()).toBe(isText)
    expect(Buffer.from(roundTrip(content).body).equals(content.body)).toBe(true)
    expect(Buffer.from(roundTrip(content, false).body).equals(content.body)).toBe(true)
  })

  test('are not empty on the wire, which SQS refuses', () => {
    expect(encode(contentOf('')).text).not.toBe('')
  })
})

describe('headers', () => {
  test('of any name, text and number arrive as they were sent, in at most ten attributes', () => {
    const headers: Record<string, string> = {
      'ce-type': 'order.created',
      empty: '',
      'ce-subject': '',
      'x y"z': '\uFFFF\uD800"\\\n',
    }
    for (let index = 0; index < 30; index += 1) headers[`ce-ext${index}`] = `${index}`
    for (let index = 0; index < 30; index += 1) headers[`header ${index}`] = 'ä'.repeat(index)
    const { attributes } = encode(contentOf('x', headers))
    expect(Object.keys(attributes).length).toBeLessThanOrEqual(10)
    expect(roundTrip(contentOf('x', headers)).headers).toEqual(headers)
  })

  test('of CloudEvents are attributes of their own, for filter policies', () => {
    const { attributes } = encode(contentOf('x', { 'ce-type': 'order.created', other: 'value' }))
    expect(attributes['ce-type']).toEqual({ DataType: 'String', StringValue: 'order.created' })
    expect(attributes.other).toBeUndefined()
  })

  test('of foreign senders are read, binary ones as Base64', () => {
    const { headers, contentType, key } = decode({
      Body: 'x',
      Attributes: { MessageGroupId: 'customer' },
      MessageAttributes: {
        'Content-Type': { DataType: 'String', StringValue: 'text/css' },
        number: { DataType: 'Number', StringValue: '1' },
        bytes: { DataType: 'Binary', BinaryValue: everyByte.subarray(0, 3) },
        waybill: { DataType: 'String', StringValue: 'not ours' },
      },
    })
    expect(headers).toEqual({ number: '1', bytes: 'AAEC', waybill: 'not ours' })
    expect(contentType).toBe('text/css')
    expect(key).toBe('customer')
  })

  test('and key travel together', () => {
    const received = roundTrip({
      ...contentOf('x', { a: 'b' }),
      contentType: undefined,
      key: 'customer 1',
      delayMs: 5,
    })
    expect(received).toMatchObject({
      headers: { a: 'b' },
      contentType: undefined,
      key: 'customer 1',
      delayMs: 5,
    })
  })
})

test('sizes are counted as the service does: body, and name, type and value of each attribute', () => {
  const { text, attributes, bytes } = encode(contentOf('ä', { 'ce-type': 'é' }))
  expect(text).toBe('ä')
  expect(Object.keys(attributes)).toEqual(['content-type', 'ce-type'])
  expect(bytes).toBe(
    2 +
      ('content-type'.length + 'String'.length + 'text/plain'.length) +
      ('ce-type'.length + 'String'.length + 2),
  )
})

describe('delays', () => {
  test('are whole seconds, never too short, and carried along where they are too long', () => {
    expect(splitDelay(0, 900_000)).toEqual({ seconds: 0, carriedMs: undefined })
    expect(splitDelay(1, 900_000)).toEqual({ seconds: 1, carriedMs: undefined })
    expect(splitDelay(900_000, 900_000)).toEqual({ seconds: 900, carriedMs: undefined })
    expect(splitDelay(900_001, 900_000)).toEqual({ seconds: 900, carriedMs: 900_001 })
    expect(splitDelay(5000, 0)).toEqual({ seconds: 0, carriedMs: 5000 })
  })

  const delayed = {
    ...roundTrip({ ...contentOf('x'), delayMs: 10_000 }),
    sentAt: 1000,
    firstReceivedAt: 4000,
  }

  test('are counted by the clock of the service, whatever ours says', () => {
    expect(remainingDelay(delayed, 0)).toBe(7000)
    expect(remainingDelay({ ...delayed, firstReceivedAt: 11_000 }, 0)).toBe(0)
    expect(remainingDelay({ ...delayed, delayMs: undefined }, 0)).toBe(0)
  })

  test('go on by ours when a message comes again, for its first receipt says nothing of now', () => {
    expect(remainingDelay({ ...delayed, receives: 2 }, 9000)).toBe(2000)
  })
})

describe('places in FIFO queues', () => {
  test('keep keys that may be message groups, and hash the others', () => {
    expect(placeOf('customer-1', 'd')).toEqual({ groupId: 'customer-1', deduplicationId: 'd' })
    for (const key of ['with space', 'ümlaut', 'x'.repeat(129)]) {
      expect(placeOf(key, 'd').groupId).toMatch(/^[0-9a-f]{64}$/)
      expect(placeOf(key, 'd')).toEqual(placeOf(key, 'd'))
    }
  })

  test('tell events of one id but two sources apart', () => {
    expect(deduplicationIdOf('a', '1')).toBe(deduplicationIdOf('a', '1'))
    expect(deduplicationIdOf('a', '1')).not.toBe(deduplicationIdOf('b', '1'))
    expect(deduplicationIdOf(undefined, '1')).toMatch(/^[0-9a-f]{64}$/)
  })
})
