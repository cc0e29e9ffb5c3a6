import { MessagingError } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { type BatchAnswer, inBatches } from './batches.ts'

const allDone = (batch: readonly unknown[]): BatchAnswer => ({
  Successful: batch.map((_, place) => ({ Id: String(place) })),
})

test('batches have ten entries and no more bytes than allowed', async () => {
  const sizes = [...Array.from({ length: 25 }, () => 1), 60, 60, 100]
  const batches: number[][] = []
  const results = await inBatches(sizes, {
    what: 'Sending',
    size: { of: (bytes) => bytes, most: 100 },
    call: async (batch) => {
      batches.push([...batch])
      return allDone(batch)
    },
  })
  expect(batches.map((batch) => batch.length)).toEqual([10, 10, 6, 1, 1])
  expect(results).toEqual(sizes.map(() => undefined))
})

test('what is larger than a batch may be is refused before anything is sent, and only that', async () => {
  const results = await inBatches([1, 101, 1], {
    what: 'Sending',
    size: { of: (bytes) => bytes, most: 100 },
    call: async (batch) => allDone(batch),
  })
  expect(results.map((result) => result?.error.code)).toEqual([undefined, 'too-large', undefined])
  expect(results[1]?.error.fate).toBe('not-sent')
})

test('a partial failure names exactly the failed items', async () => {
  const results = await inBatches(['a', 'b', 'c', 'd'], {
    what: 'Sending',
    call: async () => ({
      Successful: [{ Id: '0' }, { Id: '3' }],
      Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }],
    }),
  })
  expect(results.map((result) => result?.error.fate)).toEqual([undefined, 'not-sent', 'unknown', undefined])
})

test('a failed call fails its batch and no other', async () => {
  const items = Array.from({ length: 20 }, (_, index) => index)
  const results = await inBatches(items, {
    what: 'Sending',
    call: async (batch) => {
      if (batch.includes(0))
        throw new MessagingError('disconnected', 'gone', { fate: 'unknown', retryable: true })
      return allDone(batch)
    },
  })
  expect(results.map((result) => result?.error.code)).toEqual(
    items.map((item) => (item < 10 ? 'disconnected' : undefined)),
  )
})
