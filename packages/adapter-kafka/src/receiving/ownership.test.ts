import { expect, test } from 'vitest'
import { beginningOf } from '../settling/beginning.ts'
import type { OffsetCommit } from '../settling/offsets.ts'
import { groupNames } from '../wire/names.ts'
import { type CarriedCommit, Ownership, type Standing } from './ownership.ts'

const topic = { name: 'orders', ordered: false, partitions: 2, native: {} }
const group = { name: 'billing', types: ['#'], wishes: [], from: 'latest' } as const

function ownershipOf(holder = 'me', carried = new Map<string, CarriedCommit>()): Ownership {
  return new Ownership({
    request: { topic, group, prefetch: 10, maxPrefetch: 10, leaseMs: 1000, broadcast: false },
    names: groupNames(topic, group.name),
    holder,
    carried,
    logsOf: async () => new Map(),
  })
}

const log = { start: 0, end: 1000 }

function standingOf(at: { topic: string; index: number }, commit: OffsetCommit, range = log): Standing {
  const committed = { offset: Number(commit.offset), metadata: commit.metadata }
  const topicId = 'the first'
  return { ...at, commit, range, topicId, beginning: beginningOf(committed, range, topicId) }
}

const standing = (index: number, offset: number, metadata = ''): Standing =>
  standingOf({ topic: 'orders', index }, { offset: String(offset), metadata })

/** As the committer does it. */
function commit(ownership: Ownership, state: 'held' | 'given up'): Standing[] {
  return ownership.partitions.map((partition) => {
    const commit = partition.offsets.commit(state)
    partition.confirm(commit)
    return standingOf(partition, commit)
  })
}

test('a partition that comes back as it was left is the same, with what is in hand of it', () => {
  const ownership = ownershipOf()
  ownership.replace([standing(0, 5), standing(1, 7)])
  const [first] = ownership.partitions
  const left = commit(ownership, 'given up')
  expect(ownership.replace(left)).toEqual({ lost: [], warnings: [] })
  expect(ownership.find('orders', 0)).toBe(first)
})

test('a partition that moves is lost, and what others did with one that comes back makes it another', () => {
  const ownership = ownershipOf()
  ownership.replace([standing(0, 5), standing(1, 7)])
  const [first, second] = ownership.partitions
  commit(ownership, 'given up')
  const other = ownershipOf('other')
  other.replace([standing(1, 7)])
  const [theirs] = commit(other, 'held')
  expect(theirs).toBeDefined()
  expect(ownership.replace([standing(1, 7), ...(theirs === undefined ? [] : [theirs])]).lost).toEqual([
    first,
    second,
  ])
  expect(first?.isLost && second?.isLost).toBe(true)
  // It had an owner that did not give it up: somebody died.
  expect(ownership.find('orders', 1)?.offsets.deliveriesOf(7)).toBe(2)
})

test('what could not be committed is taken up by the next subscription, unless others were there since', () => {
  const carried = new Map<string, CarriedCommit>()
  const broken = ownershipOf('me', carried)
  broken.replace([standing(0, 5), standing(1, 5)])
  const left = commit(broken, 'held')
  for (const { offsets } of broken.partitions) {
    offsets.receive(5)
    offsets.settle(5)
  }
  broken.carryOver()
  const next = ownershipOf('me', carried)
  const [first] = left
  next.replace([...(first === undefined ? [] : [first]), standing(1, 9)])
  expect(next.find('orders', 0)?.offsets.watermark).toBe(6)
  expect(next.find('orders', 1)?.offsets.watermark).toBe(9)
  expect(carried.size).toBe(0)
})

test('what is settled after a subscription has ended is taken up too', () => {
  const carried = new Map<string, CarriedCommit>()
  const broken = ownershipOf('me', carried)
  broken.replace([standing(0, 5)])
  const left = commit(broken, 'held')
  const [partition] = broken.partitions
  partition?.offsets.receive(5)
  broken.carryOver()
  // A copy that was under way has arrived.
  partition?.offsets.settle(5)
  const next = ownershipOf('me', carried)
  next.replace(left)
  expect(next.find('orders', 0)?.offsets.watermark).toBe(6)
})

test('a commit that the broker did without an answer is known as our own', () => {
  const carried = new Map<string, CarriedCommit>()
  const broken = ownershipOf('me', carried)
  broken.replace([standing(0, 5)])
  commit(broken, 'held')
  const [partition] = broken.partitions
  partition?.offsets.receive(5)
  partition?.offsets.settle(5)
  partition?.doubt(partition.offsets.commit('held'))
  partition?.offsets.receive(6)
  partition?.offsets.settle(6)
  expect(partition?.commits.map(({ offset }) => offset)).toEqual(['5', '6'])
  expect(partition?.offsets.dirty).toBe(true)
  broken.carryOver()
  const next = ownershipOf('me', carried)
  const [, tried] = partition?.commits ?? []
  next.replace(tried === undefined ? [] : [standingOf({ topic: 'orders', index: 0 }, tried)])
  expect(next.find('orders', 0)?.offsets.watermark).toBe(7)
})

test('partitions are told apart by their topic', () => {
  const names = groupNames(topic, group.name)
  const ownership = ownershipOf()
  const at = (name: string) => ({ ...standing(0, 0), topic: name })
  ownership.replace([at('orders'), at(names.retry), at(names.delay)])
  expect(ownership.partitions.map(({ kind }) => kind)).toEqual(['main', 'retry', 'delay'])
})

test('a partition whose log ends before what we read, or was made again, begins anew, and that is told', () => {
  const ownership = ownershipOf()
  ownership.replace([standing(0, 5), standing(1, 5)])
  const [first, second] = ownership.partitions
  for (let offset = 5; offset < 50; offset += 1)
    for (const each of ownership.partitions) each.offsets.receive(offset)
  const [left, other] = commit(ownership, 'held')
  if (left === undefined || other === undefined) throw new Error('nothing was committed')
  const shorter = standingOf({ topic: 'orders', index: 0 }, left.commit, { start: 2, end: 4 })
  const { lost, warnings } = ownership.replace([shorter, { ...other, topicId: 'the second' }])
  expect(lost).toEqual([first, second])
  expect(warnings).toHaveLength(2)
  expect(ownership.find('orders', 0)?.offsets.watermark).toBe(2)
})
