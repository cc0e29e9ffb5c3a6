import { expect, test } from 'vitest'
import { inChunks } from './chunks.ts'

test('chunks hold as many items and bytes as allowed, in order', () => {
  const sizes = [1, 1, 1, 60, 60, 100]
  expect(inChunks(sizes, { maxItems: 2, maxBytes: 100, bytesOf: (size) => size })).toEqual([
    [1, 1],
    [1, 60],
    [60],
    [100],
  ])
})

test('what is larger than a chunk goes alone', () => {
  expect(inChunks([1, 500, 1], { maxBytes: 100, bytesOf: (size) => size })).toEqual([[1], [500], [1]])
})

test('nothing makes no chunk, and no limit makes one', () => {
  expect(inChunks([], { maxItems: 2 })).toEqual([])
  expect(inChunks([1, 2, 3], {})).toEqual([[1, 2, 3]])
})
