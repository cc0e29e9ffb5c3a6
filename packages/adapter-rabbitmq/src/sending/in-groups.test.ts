import { expect, test } from 'vitest'
import { inGroups } from './in-groups.ts'

const odd = (n: number) => (n % 2 === 1 ? 'odd' : undefined)

test('does each group by itself and puts the results in the order of the items', async () => {
  const groups: unknown[] = []
  const results = await inGroups([1, 2, 3, 4, 6], odd, async (group, isNamed) => {
    groups.push([group, isNamed])
    return group.map((n) => n * 10)
  })
  expect(groups).toEqual([
    [[1, 3], true],
    [[2, 4, 6], false],
  ])
  expect(results).toEqual([10, 20, 30, 40, 60])
})

test('hands over a single group as it is', async () => {
  const items = [2, 4]
  await inGroups(items, odd, async (group, isNamed) => {
    expect(group).toBe(items)
    expect(isNamed).toBe(false)
    return []
  })
})

test('does not wait for one group before it begins another', async () => {
  const begun: boolean[] = []
  const both = Promise.withResolvers<void>()
  await inGroups([1, 2], odd, async (group, isNamed) => {
    begun.push(isNamed)
    if (begun.length === 2) both.resolve()
    await both.promise
    return group
  })
  expect(begun).toEqual([true, false])
})
