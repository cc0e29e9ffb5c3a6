import { expect, test } from 'vitest'
import { emptyRecord, PartitionOffsets, parseRecord } from './offsets.ts'

const me = { holder: 'me', suspects: 10, end: 1000, topicId: undefined }

function startedAt(offset: number): PartitionOffsets {
  return new PartitionOffsets(offset, emptyRecord, me)
}

/** Receives the offsets, all of which must be wanted. */
function receive(offsets: PartitionOffsets, from: number, to: number): void {
  for (let offset = from; offset < to; offset += 1) expect(offsets.receive(offset)).toBe(true)
}

/** What the next owner makes of a commit. */
function takeOver(
  previous: PartitionOffsets,
  holder: string,
  state: 'held' | 'given up',
  { end } = me,
): PartitionOffsets {
  const { offset, metadata } = previous.commit(state)
  return new PartitionOffsets(Number(offset), parseRecord(Number(offset), metadata), { ...me, holder, end })
}

test('the watermark is the lowest unsettled offset, in whatever order they are settled', () => {
  const offsets = startedAt(5)
  receive(offsets, 5, 10)
  offsets.settle(7)
  offsets.settle(6)
  expect(offsets.watermark).toBe(5)
  offsets.settle(5)
  expect(offsets.watermark).toBe(8)
  offsets.settle(9)
  expect(offsets.watermark).toBe(8)
  offsets.settle(8)
  expect(offsets.watermark).toBe(10)
})

test('nothing is committed past an unsettled offset', () => {
  const offsets = startedAt(0)
  receive(offsets, 0, 1000)
  for (let offset = 1; offset < 1000; offset += 1) offsets.settle(offset)
  expect(offsets.commit('held').offset).toBe('0')
})

test('settling twice, or what was never received, changes nothing', () => {
  const offsets = startedAt(0)
  receive(offsets, 0, 2)
  offsets.settle(0)
  offsets.settle(0)
  offsets.settle(50)
  expect(offsets.watermark).toBe(1)
  expect(offsets.next).toBe(2)
})

test('an offset that comes again is not wanted', () => {
  const offsets = startedAt(0)
  receive(offsets, 0, 3)
  expect(offsets.receive(1)).toBe(false)
  expect(offsets.next).toBe(3)
})

test('offsets that hold no message do not stop the watermark', () => {
  const offsets = startedAt(0)
  receive(offsets, 0, 1)
  // 1 and 2 are transaction markers.
  receive(offsets, 3, 4)
  offsets.settle(0)
  expect(offsets.watermark).toBe(3)
  offsets.settle(3)
  offsets.skipTo(6)
  expect(offsets.watermark).toBe(6)
})

test('a log that begins above the committed offset is taken up where it begins', () => {
  const offsets = startedAt(10)
  receive(offsets, 100, 101)
  expect(offsets.watermark).toBe(100)
})

test('there is something to commit at first, and whenever something was settled', () => {
  const offsets = startedAt(0)
  expect(offsets.dirty).toBe(true)
  offsets.commit('held')
  expect(offsets.dirty).toBe(false)
  receive(offsets, 0, 3)
  expect(offsets.dirty).toBe(false)
  offsets.settle(2)
  expect(offsets.dirty).toBe(true)
  offsets.commit('held')
  offsets.markDirty()
  expect(offsets.dirty).toBe(true)
})

test('the next owner skips what was settled above the committed offset', () => {
  const first = startedAt(100)
  receive(first, 100, 120)
  for (const offset of [101, 102, 103, 110, 111, 119]) first.settle(offset)
  const second = takeOver(first, 'me', 'given up')
  const wanted: number[] = []
  for (let offset = 100; offset < 125; offset += 1) if (second.receive(offset)) wanted.push(offset)
  expect(wanted).toEqual([
    100, 104, 105, 106, 107, 108, 109, 112, 113, 114, 115, 116, 117, 118, 120, 121, 122, 123, 124,
  ])
  for (const offset of wanted) second.settle(offset)
  expect(second.watermark).toBe(125)
})

test('what is known of settled offsets survives owners that never got as far', () => {
  const first = startedAt(0)
  receive(first, 0, 10)
  first.settle(8)
  const third = takeOver(takeOver(first, 'me', 'given up'), 'me', 'given up')
  const wanted: number[] = []
  for (let offset = 0; offset < 10; offset += 1) if (third.receive(offset)) wanted.push(offset)
  expect(wanted).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 9])
})

test('metadata stays below the limit of the broker, and what did not fit comes again', () => {
  const offsets = startedAt(0)
  receive(offsets, 0, 10_000)
  for (let offset = 1; offset < 10_000; offset += 2) offsets.settle(offset)
  const { offset, metadata } = offsets.commit('held')
  expect(metadata.length).toBeLessThan(4096)
  const { settled } = parseRecord(Number(offset), metadata)
  expect(settled.length).toBeGreaterThan(500)
  expect(settled[0]).toEqual({ from: 1, to: 2 })
})

test('a handover in good order is no crash, however often it happens', () => {
  let offsets = startedAt(0)
  for (const holder of ['a', 'b', 'c', 'd']) offsets = takeOver(offsets, holder, 'given up')
  expect(offsets.deliveriesOf(0)).toBe(1)
})

test('coming back to what one held oneself is no crash', () => {
  expect(takeOver(startedAt(0), 'me', 'held').deliveriesOf(0)).toBe(1)
})

test('an owner that vanished counts for what may have been in its hands', () => {
  const next = takeOver(startedAt(20), 'other', 'held')
  expect(next.deliveriesOf(20)).toBe(2)
  expect(next.deliveriesOf(29)).toBe(2)
  expect(next.deliveriesOf(30)).toBe(1)
  expect(next.careful).toBe(false)
})

test('what came after an owner had vanished was not in its hands', () => {
  const next = takeOver(startedAt(20), 'other', 'held', { ...me, end: 22 })
  expect(next.deliveriesOf(21)).toBe(2)
  expect(next.deliveriesOf(22)).toBe(1)
})

test('owners that died with nothing in hand leave no trace', () => {
  let offsets = startedAt(20)
  for (const holder of ['a', 'b', 'c']) offsets = takeOver(offsets, holder, 'held', { ...me, end: 20 })
  expect(offsets.careful).toBe(false)
  expect(offsets.deliveriesOf(20)).toBe(1)
  expect(takeOver(offsets, 'd', 'held').deliveriesOf(20)).toBe(2)
})

test('crashes add up while the suspects are not settled, and are forgotten when they are', () => {
  let offsets = startedAt(0)
  for (const holder of ['a', 'b', 'c']) offsets = takeOver(offsets, holder, 'held')
  expect(offsets.deliveriesOf(0)).toBe(4)
  receive(offsets, 0, 20)
  for (let offset = 0; offset < 10; offset += 1) offsets.settle(offset)
  expect(offsets.careful).toBe(false)
  expect(takeOver(offsets, 'd', 'given up').deliveriesOf(10)).toBe(1)
})

test('progress below the culprit does not hide the crashes', () => {
  let offsets = startedAt(0)
  for (const [index, holder] of ['a', 'b', 'c', 'd'].entries()) {
    offsets = takeOver(offsets, holder, 'held')
    receive(offsets, offsets.next, 6)
    // Each life settles one more before offset 5 kills it.
    offsets.settle(index)
  }
  expect(offsets.careful).toBe(true)
})

test('from some crashes on, what is settled one at a time is innocent', () => {
  let offsets = startedAt(0)
  for (const holder of ['a', 'b', 'c', 'd']) offsets = takeOver(offsets, holder, 'held')
  expect(offsets.careful).toBe(true)
  expect(offsets.deliveriesOf(0)).toBe(5)
  receive(offsets, 0, 3)
  offsets.settle(0)
  expect(offsets.careful).toBe(true)
  expect(offsets.deliveriesOf(1)).toBe(1)
  offsets = takeOver(offsets, 'e', 'held')
  expect(offsets.careful).toBe(true)
  expect(offsets.deliveriesOf(1)).toBe(2)
})

test('the count survives owners that leave in good order', () => {
  const crashed = takeOver(takeOver(startedAt(0), 'a', 'held'), 'b', 'held')
  const later = takeOver(takeOver(crashed, 'c', 'given up'), 'd', 'given up')
  expect(later.deliveriesOf(0)).toBe(3)
})

test.each([
  ['nothing', null],
  ['an empty text', ''],
  ['what another tool wrote', 'checkpoint-7'],
  ['broken JSON', '{"waybill":1'],
  ['JSON of another kind', '{"version":3}'],
  ['nonsense in our fields', '{"waybill":1,"crashes":-2}'],
])('metadata with %s is no record', (_, metadata) => {
  expect(parseRecord(7, metadata)).toEqual(emptyRecord)
})
