import { expect, test } from 'vitest'
import { emptyRecord, PartitionOffsets } from '../settling/offsets.ts'
import { Partition, type PartitionKind } from '../settling/partition.ts'
import { ReadyMessages } from './ready-messages.ts'

function partitionOf(index: number, kind: PartitionKind = 'main'): Partition {
  const offsets = new PartitionOffsets(0, emptyRecord, {
    holder: 'me',
    suspects: 10,
    end: 1000,
    topicId: undefined,
  })
  const topic = kind === 'main' ? 'orders' : 'orders..billing..retry'
  return new Partition(topic, index, kind, offsets, { offset: '0', metadata: '' })
}

function fill(ready: ReadyMessages, partition: Partition, count: number, bytes = 1): void {
  for (let offset = 0; offset < count; offset += 1) {
    partition.offsets.receive(offset)
    const record = {
      key: null,
      value: Buffer.alloc(bytes),
      headers: {},
      timestamp: '0',
      offset: String(offset),
    }
    ready.add({ partition, offset, record, bytes }, false)
  }
}

function opened(...partitions: readonly Partition[]): ReadyMessages {
  const ready = new ReadyMessages()
  ready.open(partitions)
  return ready
}

const indexesOf = (ready: ReadyMessages, max: number) =>
  ready.take(max).map(({ waiting }) => waiting.partition.index)

test('every partition gets its share of the room, and those with little leave theirs to the others', () => {
  const [large, small, other] = [partitionOf(0), partitionOf(1), partitionOf(2)]
  const ready = opened(large, small, other)
  fill(ready, large, 100)
  fill(ready, small, 1)
  fill(ready, other, 100)
  const taken = indexesOf(ready, 9)
  expect(taken).toHaveLength(9)
  expect(taken.filter((index) => index === 0)).toHaveLength(4)
  expect(taken.filter((index) => index === 1)).toHaveLength(1)
})

test('with room for one at a time the partitions take turns', () => {
  const partitions = [partitionOf(0), partitionOf(1), partitionOf(2)]
  const ready = opened(...partitions)
  for (const partition of partitions) fill(ready, partition, 10)
  expect([1, 2, 3, 4].flatMap(() => indexesOf(ready, 1))).toEqual([0, 1, 2, 0])
})

test('what comes back goes ahead of the backlog', () => {
  const [main, retry] = [partitionOf(0), partitionOf(0, 'retry')]
  const ready = opened(main, retry)
  fill(ready, main, 10)
  fill(ready, retry, 2)
  expect(ready.take(3).map(({ waiting }) => waiting.partition.kind)).toEqual(['retry', 'retry', 'main'])
})

test('what is here is counted, apart for what comes back, until it is handed out or its partition goes', () => {
  const [main, retry] = [partitionOf(0), partitionOf(0, 'retry')]
  const ready = opened(main, retry)
  fill(ready, main, 10, 100)
  fill(ready, retry, 3, 10)
  expect([ready.main, ready.returning]).toEqual([
    { messages: 10, bytes: 1000 },
    { messages: 3, bytes: 30 },
  ])
  ready.take(5)
  expect([ready.main, ready.returning]).toEqual([
    { messages: 8, bytes: 800 },
    { messages: 0, bytes: 0 },
  ])
  ready.open([retry])
  expect(ready.isEmpty).toBe(true)
  expect(ready.take(5)).toEqual([])
})
