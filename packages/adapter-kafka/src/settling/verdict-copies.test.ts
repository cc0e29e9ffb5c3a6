import { systemClock } from '@waybill/core/driver'
import { done } from '@waybill/core/driver-kit'
import { expect, test } from 'vitest'
import { emptyRecord, PartitionOffsets } from './offsets.ts'
import { type KafkaDelivery, Partition } from './partition.ts'
import { VerdictCopies } from './verdict-copies.ts'

function delivery(): KafkaDelivery {
  const options = { holder: 'me', suspects: 10, end: 1, topicId: undefined }
  const offsets = new PartitionOffsets(0, emptyRecord, options)
  const partition = new Partition('orders', 0, 'main', offsets, { offset: '0', metadata: '' })
  const record = { offset: '0', timestamp: '0', key: null, value: Buffer.from('1') }
  partition.addFresh({ partition, offset: 0, record, bytes: 1 })
  const taken = partition.take('any')
  if (taken === undefined) throw new Error('There is one')
  return taken
}

test('who no longer wants to wait is told that the copy is under way, and later how it went', async () => {
  const copies = new VerdictCopies(systemClock)
  const ours = delivery()
  const written = Promise.withResolvers<typeof done>()
  copies.begin(
    ours,
    () => written.promise,
    (outcome) => outcome,
  )
  const abort = new AbortController()
  const startedAt = performance.now()
  const waited = copies.wait(true, abort.signal)
  abort.abort()
  await waited
  expect(performance.now() - startedAt).toBeLessThan(400)
  expect(copies.outcomeOf(ours)).toMatchObject({ ok: false, error: { code: 'timeout', retryable: true } })
  written.resolve(done)
  await expect.poll(() => copies.outcomeOf(ours)).toEqual(done)
})
