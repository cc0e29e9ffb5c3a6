import { expect, test } from 'vitest'
import { eachGroup } from './each-group.ts'

test('each group runs by itself, and results stand where their items do', async () => {
  const runs: (readonly [string, readonly number[]])[] = []
  const results = await eachGroup(
    [1, 2, 3, 4, 5],
    (item) => (item % 2 === 0 ? 'even' : 'odd'),
    async (items, group) => {
      runs.push([group, items])
      return items.map((item) => item * 10)
    },
  )
  expect(results).toEqual([10, 20, 30, 40, 50])
  expect(runs).toEqual([
    ['odd', [1, 3, 5]],
    ['even', [2, 4]],
  ])
})

test('a single group, named or not, is one run with the very items', async () => {
  const items = [{ n: 1 }, { n: 2 }]
  for (const group of ['a', undefined]) {
    expect(
      await eachGroup(
        items,
        () => group,
        async (all) => all,
      ),
    ).toBe(items)
  }
  expect(
    await eachGroup(
      [],
      () => 'a',
      async () => [1],
    ),
  ).toEqual([])
})
