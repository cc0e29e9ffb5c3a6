import { createRequire } from 'node:module'
import { CompressionTypes } from 'kafkajs'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type MessageToEncode, type ProduceOptions, produceRequest } from './produce-request.ts'
import { records } from './records.fixture.ts'

const theirs: typeof produceRequest = createRequire(import.meta.url)(
  'kafkajs/src/protocol/requests/produce/v3/request.js',
)

// Batches bear the time.
beforeAll(() => {
  vi.useFakeTimers({ now: 1_795_413_941_566, toFake: ['Date'] })
})
afterAll(() => {
  vi.useRealTimers()
})

function request(messages: readonly MessageToEncode[], more: Partial<ProduceOptions> = {}): ProduceOptions {
  const partitions = [{ partition: 3, firstSequence: 70_000, messages }]
  return { acks: -1, timeout: 30_000, topicData: [{ topic: 'orders', partitions }], ...more }
}

const plain: MessageToEncode = { key: 'k', value: Buffer.from('v'), headers: { name: 'value' } }

const requests: Readonly<Record<string, ProduceOptions>> = {
  ...Object.fromEntries(Object.entries(records).map(([name, record]) => [name, request([record])])),
  'a batch without records': request([]),
  'offsets of several bytes': request(Array.from({ length: 300 }, () => plain)),
  timestamps: request([
    { ...plain, timestamp: '1795413940000' },
    { ...plain, timestamp: '1895413941570' },
    plain,
    { ...plain, timestamp: '1795413930000' },
  ]),
  'several topics and partitions': request([], {
    topicData: [
      {
        topic: 'one',
        partitions: [
          { partition: 0, firstSequence: 1, messages: [plain] },
          { partition: 7, messages: [plain, plain] },
        ],
      },
      { topic: 'ähnlich', partitions: [{ partition: 2, messages: [plain] }] },
    ],
  }),
  'an idempotent producer': request([plain], { producerId: '9007199254740993', producerEpoch: 12 }),
  'a transaction': request([plain], { transactionalId: 'tx', producerId: '5', acks: 1, timeout: 1 }),
  'no acknowledgement': request([plain], { acks: 0 }),
  compression: request(
    Array.from({ length: 50 }, () => plain),
    { compression: CompressionTypes.GZIP },
  ),
}

test.each(Object.entries(requests))('%s is written byte for byte as the client does', async (_, options) => {
  expect(theirs).not.toBe(produceRequest)
  const [ours, expected] = [produceRequest(options), theirs(options)]
  expect(ours.expectResponse()).toBe(expected.expectResponse())
  expect({ ...ours, encode: 0, expectResponse: 0 }).toEqual({ ...expected, encode: 0, expectResponse: 0 })
  const { buf, buffer } = await ours.encode()
  expect(Buffer.isBuffer(buf)).toBe(true)
  expect(buffer.toString('hex')).toBe((await expected.encode()).buffer.toString('hex'))
})

test('a header without value is written, which the client cannot do', async () => {
  const { buffer } = await produceRequest(request([{ ...plain, headers: { flag: null } }])).encode()
  // Its name with its length, and a length of -1; zigzag.
  expect(buffer.includes(Buffer.from([8, ...Buffer.from('flag'), 1]))).toBe(true)
})
