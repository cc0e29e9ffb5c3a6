import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { decodeFetchResponse } from './fetch-response.ts'
import type { BrokerInside, LookupRequest, ProtocolRequest } from './insides.ts'
import { codeOurselves } from './own-protocol.ts'
import { produceRequest } from './produce-request.ts'
import { records } from './records.fixture.ts'

const load = createRequire(import.meta.url)
const theirFetch: { decode(answer: Buffer): Promise<object> } = load(
  'kafkajs/src/protocol/requests/fetch/v11/response.js',
)
const theirProduce: (options: unknown) => ProtocolRequest['request'] = load(
  'kafkajs/src/protocol/requests/produce/v7/request.js',
)

function int(bytes: number, value: number): Buffer {
  const part = Buffer.alloc(bytes)
  part.writeIntBE(value, Math.max(0, bytes - 6), Math.min(6, bytes))
  return part
}

/** An answer to a fetch of two partitions, of which one gives these batches. */
function answerOf(batches: Buffer): Buffer {
  const partition = (index: number, given: Buffer) => [
    ...[int(4, index), int(2, index), int(8, 900), int(8, 800), int(8, 1)],
    ...[int(4, 1), int(8, 7), int(8, 3), int(4, -1), int(4, given.length), given],
  ]
  const name = Buffer.from('orders')
  return Buffer.concat([
    ...[int(4, 0), int(2, 0), int(4, 0), int(4, 1), int(2, name.length), name, int(4, 2)],
    ...partition(0, batches),
    ...partition(1, Buffer.alloc(0)),
  ])
}

async function batchOf(
  messages: Parameters<typeof produceRequest>[0]['topicData'][0]['partitions'][0]['messages'],
) {
  const topicData = [{ topic: 'orders', partitions: [{ partition: 0, firstSequence: 4, messages }] }]
  const { buffer } = await produceRequest({ acks: -1, timeout: 1, producerId: '77', topicData }).encode()
  return buffer.subarray(2 + 2 + 4 + 4 + (2 + 6) + 4 + 4 + 4)
}

test.each(Object.entries(records))('%s is read as the client does', async (_, record) => {
  const answer = answerOf(await batchOf([record, { key: 'k', value: 'v', headers: { a: ['1', '2'] } }]))
  expect(await decodeFetchResponse(answer)).toEqual(await theirFetch.decode(answer))
})

test('a batch that is cut off is left for the next fetch, and control batches are told', async () => {
  const batch = await batchOf([{ key: 'k', value: 'v' }])
  const control = Buffer.from(batch)
  control.writeInt16BE(0x30, 21)
  const answer = answerOf(Buffer.concat([control, batch, batch.subarray(0, batch.length - 1)]))
  expect(await decodeFetchResponse(answer)).toEqual(await theirFetch.decode(answer))
})

test('compressed batches are read as the client does', async () => {
  const batch = await batchOf([{ key: 'k', value: 'v'.repeat(500) }])
  const body = gzipSync(batch.subarray(61))
  const head = Buffer.from(batch.subarray(0, 61))
  head.writeInt16BE(1, 21)
  head.writeInt32BE(61 - 12 + body.length, 8)
  const answer = answerOf(Buffer.concat([head, body]))
  expect(await decodeFetchResponse(answer)).toEqual(await theirFetch.decode(answer))
})

function brokerWith(lookupRequest: LookupRequest): BrokerInside {
  const broker = { connectionPool: { pool: [] }, lookupRequest }
  return broker
}

test('a client that encodes otherwise is left to do so, and that is told once', async () => {
  const other = Buffer.from('something else')
  const make: LookupRequest = () => (options) => ({
    request: { ...theirProduce(options), apiVersion: 6, encode: async () => ({ buffer: other }) },
    response: { decode: async () => ({}) },
  })
  const warnings: string[] = []
  for (let round = 0; round < 2; round += 1) {
    const broker = brokerWith(make)
    codeOurselves(broker, (message) => warnings.push(message))
    const { request } = broker.lookupRequest(0, undefined)({ acks: -1, topicData: [] })
    expect((await request.encode()).buffer).toBe(other)
  }
  expect(warnings).toHaveLength(1)
})

test('a broker whose versions are asked for again goes on with ours', async () => {
  const broker = brokerWith(() => {
    throw new Error('not connected')
  })
  codeOurselves(broker, () => {})
  broker.lookupRequest = () => (options) => ({
    request: theirProduce(options),
    response: { decode: async () => ({}) },
  })
  const options = {
    acks: -1,
    timeout: 1,
    topicData: [
      {
        topic: 't',
        partitions: [{ partition: 0, messages: [{ key: 'k', value: 'v', headers: { flag: null } }] }],
      },
    ],
  }
  // Theirs throws for a header without value.
  const { buffer } = await broker.lookupRequest(0, undefined)(options).request.encode()
  expect(buffer.length).toBeGreaterThan(61)
})
