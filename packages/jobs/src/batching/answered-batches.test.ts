import { MessagingError } from '@waybill/core'
import { describe, expect, test } from 'vitest'
import { answeredBatches } from './answered-batches.ts'

describe('answeredBatches', () => {
  test('what the store cannot take of one fails for that one alone', async () => {
    const add = answeredBatches(
      async (numbers: readonly number[]) => {
        if (numbers.includes(2)) throw new Error('No 2 here')
        return numbers.map((number) => number * 10)
      },
      { maxItems: 500 },
    )
    const answers = await Promise.allSettled([1, 2, 3].map(add))
    expect(answers).toMatchObject([{ value: 10 }, { reason: { message: 'No 2 here' } }, { value: 30 }])
  })

  test('a store that is away is asked once for all', async () => {
    let count = 0
    const add = answeredBatches(
      async () => {
        count += 1
        throw new MessagingError('disconnected', 'It is away', { retryable: true })
      },
      { maxItems: 500 },
    )
    const answers = await Promise.allSettled([1, 2, 3].map(add))
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(count).toBe(1)
  })

  test('what is long travels in batches of its own', async () => {
    const sizes: number[] = []
    const add = answeredBatches(
      async (texts: readonly string[]) => {
        sizes.push(texts.length)
        return texts
      },
      { maxItems: 500, lengthOf: (text: string) => text.length },
    )
    const long = 'x'.repeat(3_000_000)
    await Promise.all(['a', long, long, 'b'].map(add))
    expect(sizes).toEqual([2, 2])
  })
})
