import { expect, test } from 'vitest'
import { Heap } from './heap.ts'

const numbers = () => new Heap<number>((one, other) => one < other)

function drain(heap: Heap<number>): number[] {
  const all: number[] = []
  for (let next = heap.take(); next !== undefined; next = heap.take()) all.push(next)
  return all
}

test('items come out by rank, whatever the order they went in', () => {
  for (let round = 0; round < 200; round += 1) {
    const items = Array.from({ length: round }, () => Math.floor(Math.random() * 50))
    const heap = numbers()
    for (const item of items) heap.add(item)
    expect(heap.first).toBe(items.length === 0 ? undefined : Math.min(...items))
    expect(drain(heap)).toEqual(items.toSorted((one, other) => one - other))
    expect([heap.size, heap.first, heap.take()]).toEqual([0, undefined, undefined])
  }
})

test('what is removed does not come out', () => {
  const heap = numbers()
  for (const item of [5, 3, 8, 1, 4, 7]) heap.add(item)
  expect(heap.remove((item) => item % 2 === 1).toSorted()).toEqual([1, 3, 5, 7])
  expect(drain(heap)).toEqual([4, 8])
})

test('what is removed by its place does not come out, and the rest keeps its order', () => {
  interface Entry {
    readonly rank: number
    place: number
  }
  for (let round = 1; round < 200; round += 1) {
    const heap = new Heap<Entry>(
      (one, other) => one.rank < other.rank,
      (entry, place) => {
        entry.place = place
      },
    )
    const entries = Array.from({ length: round }, () => ({ rank: Math.floor(Math.random() * 50), place: -1 }))
    for (const entry of entries) heap.add(entry)
    const removed = entries.filter(() => Math.random() < 0.5)
    for (const entry of removed) expect(heap.removeAt(entry.place)).toBe(entry)
    expect(removed.every(({ place }) => place === Heap.nowhere)).toBe(true)
    expect(heap.removeAt(Heap.nowhere)).toBeUndefined()
    const left = entries.filter((entry) => !removed.includes(entry)).map(({ rank }) => rank)
    const drained: number[] = []
    for (let next = heap.take(); next !== undefined; next = heap.take()) {
      expect(next.place).toBe(Heap.nowhere)
      drained.push(next.rank)
    }
    expect(drained).toEqual(left.toSorted((one, other) => one - other))
  }
})

test('adding and taking compare each item with few others, in whatever order they come', () => {
  const count = 10_000
  for (const numbered of [(n: number) => n, (n: number) => -n, (n: number) => (n * 7919) % count]) {
    let comparisons = 0
    const heap = new Heap<number>((one, other) => {
      comparisons += 1
      return one < other
    })
    for (let n = 0; n < count; n += 1) heap.add(numbered(n))
    drain(heap)
    expect(comparisons).toBeLessThan(4 * count * Math.log2(count))
  }
})
