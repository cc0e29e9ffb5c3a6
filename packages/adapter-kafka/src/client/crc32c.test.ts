import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { crc32c } from './crc32c.ts'

const theirs: (buffer: Buffer) => number = createRequire(import.meta.url)(
  'kafkajs/src/protocol/recordBatch/crc32C/index.js',
)

test('the check value of the algorithm', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
})

test.each([0, 1, 7, 8, 9, 15, 16, 1001])('%i bytes have the checksum that kafkajs computes', (length) => {
  const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 37 + 11) & 0xff))
  expect(crc32c(bytes)).toBe(theirs(bytes))
})
