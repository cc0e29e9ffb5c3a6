import { expect, test } from 'vitest'
import { Batcher } from './batcher.ts'

/** Batches in the order they were begun, each to be ended by the test. */
function recorder() {
  const batches: { readonly items: readonly number[]; readonly end: () => void }[] = []
  const run = (items: readonly number[]) =>
    new Promise<void>((resolve) => batches.push({ items, end: resolve }))
  return { batches, run, items: () => batches.map(({ items }) => items) }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('what is added within one tick is one batch', async () => {
  const { run, items } = recorder()
  const batcher = new Batcher(run, { maxItems: 10, parallelism: 1 })
  for (const each of [1, 2, 3]) batcher.add(each)
  await turn()
  expect(items()).toEqual([[1, 2, 3]])
})

test('what is added while a batch is under way is the next one', async () => {
  const { batches, run, items } = recorder()
  const batcher = new Batcher(run, { maxItems: 10, parallelism: 1 })
  batcher.add(1)
  await turn()
  batcher.add(2)
  await turn()
  batcher.add(3)
  await turn()
  expect(items()).toEqual([[1]])
  batches[0]?.end()
  await turn()
  expect(items()).toEqual([[1], [2, 3]])
})

test('a batch holds no more than it may', async () => {
  const { batches, run, items } = recorder()
  const batcher = new Batcher(run, { maxItems: 2, parallelism: 1 })
  for (const each of [1, 2, 3, 4, 5]) batcher.add(each)
  for (let index = 0; index < 3; index += 1) {
    await turn()
    batches[index]?.end()
  }
  expect(items()).toEqual([[1, 2], [3, 4], [5]])
})

test('as many batches run at once as may, and no more', async () => {
  const { batches, run, items } = recorder()
  const batcher = new Batcher(run, { maxItems: 1, parallelism: 2 })
  for (const each of [1, 2, 3]) batcher.add(each)
  await turn()
  expect(items()).toEqual([[1], [2]])
  batches[1]?.end()
  await turn()
  expect(items()).toEqual([[1], [2], [3]])
})

test('it is idle at first, and again once nothing waits and nothing is under way', async () => {
  const { batches, run } = recorder()
  const batcher = new Batcher(run, { maxItems: 1, parallelism: 1 })
  await batcher.idle()
  batcher.add(1)
  batcher.add(2)
  let idle = false
  const waited = batcher.idle().then(() => {
    idle = true
  })
  await turn()
  batches[0]?.end()
  await turn()
  expect(idle).toBe(false)
  batches[1]?.end()
  await waited
})
