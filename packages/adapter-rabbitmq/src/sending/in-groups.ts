/**
 * Does each group of the items by itself and all of them at once, the one without a name too; result i belongs to item i.
 */
export async function inGroups<Item, Result>(
  items: readonly Item[],
  nameOf: (item: Item) => string | undefined,
  run: (group: readonly Item[], isNamed: boolean) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const groups = new Map<string | undefined, number[]>()
  for (const [index, item] of items.entries()) {
    const name = nameOf(item)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [index])
    else group.push(index)
  }
  const [only] = groups.keys()
  if (groups.size <= 1) return run(items, only !== undefined)
  const results = new Map<number, Result>()
  await Promise.all(
    [...groups].map(async ([name, indices]) => {
      const group = indices.flatMap((index) => items[index] ?? [])
      const some = await run(group, name !== undefined)
      for (const [position, index] of indices.entries()) {
        const result = some[position]
        if (result !== undefined) results.set(index, result)
      }
    }),
  )
  return items.flatMap((_, index) => results.get(index) ?? [])
}
