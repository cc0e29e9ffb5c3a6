/**
 * Runs `work` for each item, `size` at once at most and begun in order. Ends at the first error of `items` itself, after what
 * was begun has ended.
 */
export async function inWindow<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  size: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>()
  try {
    for await (const item of items) {
      const one: Promise<void> = work(item).finally(() => running.delete(one))
      running.add(one)
      if (running.size >= size) await Promise.race(running)
    }
  } finally {
    await Promise.allSettled(running)
  }
  await Promise.all(running)
}
