// A script holds up everybody else while it runs, so large batches go as several.
const maxScriptBytes = 1024 * 1024

/** Splits what goes into scripts; an item above the bound goes alone. */
export function chunksOfBytes<Item extends { readonly bytes: number }>(
  items: readonly Item[],
): readonly Item[][] {
  const chunks: Item[][] = []
  let chunk: Item[] = []
  let bytes = 0
  for (const item of items) {
    if (chunk.length > 0 && bytes + item.bytes > maxScriptBytes) {
      chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(item)
    bytes += item.bytes
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}
