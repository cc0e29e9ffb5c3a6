import { describe, expect, it } from 'vitest'
import { chunksOfBytes } from './chunks.ts'

describe('chunksOfBytes', () => {
  it('keeps the order, fills chunks to a mebibyte, and gives a larger item one of its own', () => {
    const sizes = [400, 500, 200, 3000, 1].map((kibibytes) => ({ bytes: kibibytes * 1024 }))
    expect(chunksOfBytes(sizes).map((chunk) => chunk.map(({ bytes }) => bytes / 1024))).toEqual([
      [400, 500],
      [200],
      [3000],
      [1],
    ])
    expect(chunksOfBytes([])).toEqual([])
  })
})
