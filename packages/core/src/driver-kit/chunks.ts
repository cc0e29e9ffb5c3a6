export interface ChunkLimits<Item> {
  readonly maxItems?: number
  readonly maxBytes?: number
  /** Needed with `maxBytes`. */
  readonly bytesOf?: (item: Item) => number
}

/**
 * Splits items, in order, into as few chunks as the limits allow. An item above `maxBytes` gets a chunk of its own, for the
 * broker to refuse. Default: no limits.
 *
 * @example
 * for (const chunk of inChunks(messages, { maxItems: 10, maxBytes: 262_144, bytesOf: (message) => message.bytes })) {
 *   await client.sendBatch(chunk)
 * }
 */
export function inChunks<Item>(
  items: readonly Item[],
  { maxItems = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY, bytesOf }: ChunkLimits<Item>,
): Item[][] {
  const chunks: Item[][] = []
  let chunk: Item[] = []
  let bytes = 0
  for (const item of items) {
    const size = bytesOf?.(item) ?? 0
    if (chunk.length > 0 && (chunk.length >= maxItems || bytes + size > maxBytes)) {
      chunks.push(chunk)
      chunk = []
      bytes = 0
    }
    chunk.push(item)
    bytes += size
  }
  if (chunk.length > 0) chunks.push(chunk)
  return chunks
}
