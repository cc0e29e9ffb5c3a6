/**
 * Runs each group of items separately, all groups at once. `run` returns one result for each item of its group; result i
 * belongs to item i. Items whose group is undefined form a group too.
 *
 * @example
 * const outcomes = await eachGroup(messages, (message) => message.queue, (group, queue) => sendAll(queue, group))
 */
export async function eachGroup<Item, Group, Result>(
  items: readonly Item[],
  groupOf: (item: Item) => Group,
  run: (items: readonly Item[], group: Group) => Promise<readonly Result[]>,
): Promise<readonly Result[]> {
  const groups = new Map<Group, number[]>()
  for (const [index, item] of items.entries()) {
    const group = groupOf(item)
    const indices = groups.get(group)
    if (indices === undefined) groups.set(group, [index])
    else indices.push(index)
  }
  if (groups.size === 1) for (const only of groups.keys()) return run(items, only)
  const results = new Map<number, Result>()
  await Promise.all(
    [...groups].map(async ([group, indices]) => {
      const own = indices.flatMap((index) => items[index] ?? [])
      const some = await run(own, group)
      for (const [position, index] of indices.entries()) {
        const result = some[position]
        if (result !== undefined) results.set(index, result)
      }
    }),
  )
  return items.flatMap((_, index) => results.get(index) ?? [])
}
