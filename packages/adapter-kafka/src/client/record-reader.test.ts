import { expect, test } from 'vitest'
import { kafkajsOwn } from './kafkajs-own.fixture.ts'
import type { MessageToEncode } from './produce-request.ts'
import { type BatchContext, type DecodedRecord, decodeRecord } from './record-reader.ts'
import { records } from './records.fixture.ts'

interface RecordToEncode extends MessageToEncode {
  readonly offsetDelta?: number
  readonly timestampDelta?: number
}

// What kafkajs writes is read, as it would read it.
const encodeRecord = kafkajsOwn<(record: RecordToEncode) => { readonly buffer: Buffer }>(
  'kafkajs/src/protocol/recordBatch/record/v0/index.js',
)
const theirDecode = kafkajsOwn<(decoder: unknown, context: BatchContext) => DecodedRecord>(
  'kafkajs/src/protocol/recordBatch/record/v0/decoder.js',
)
const TheirDecoder = kafkajsOwn<
  new (
    buffer: Buffer,
  ) => { readonly buffer: Buffer; offset: number; readVarInt(): number }
>('kafkajs/src/protocol/decoder.js')

const context: BatchContext = {
  firstOffset: '4294967290',
  firstTimestamp: '1795413941566',
  magicByte: 2,
  timestampType: 0,
  maxTimestamp: '1795413949999',
}

const all: Readonly<Record<string, RecordToEncode>> = {
  ...records,
  'deltas of several bytes': { offsetDelta: 70_000, timestampDelta: 5_000_000_000, key: 'k', value: 'text' },
  'a timestamp before the first': { timestampDelta: -300, key: 'k', value: 'v' },
}

test.each(Object.entries(all))('%s is read as the client does', (_, record) => {
  for (const each of [context, { ...context, timestampType: 1, isControlBatch: true }]) {
    const decoderOf = () => {
      const decoder = new TheirDecoder(encodeRecord(record).buffer)
      decoder.readVarInt()
      return decoder
    }
    expect(theirDecode).not.toBe(decodeRecord)
    expect(decodeRecord(decoderOf(), each)).toEqual(theirDecode(decoderOf(), each))
  }
})

test('offsets beyond what a number can hold are exact', () => {
  const decoder = new TheirDecoder(encodeRecord({ offsetDelta: 5, key: null, value: 'v' }).buffer)
  decoder.readVarInt()
  expect(decodeRecord(decoder, { ...context, firstOffset: '9223372036854775800' }).offset).toBe(
    '9223372036854775805',
  )
})
