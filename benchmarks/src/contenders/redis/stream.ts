import type { Redis } from 'ioredis'

/** The one group of a stream, made at its beginning. */
export const group = 'benchmark'

export async function createGroup(redis: Redis, stream: string): Promise<void> {
  try {
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error
  }
}

/** Entries of the group that are pending or not read yet. */
export async function remainingOf(redis: Redis, stream: string): Promise<number> {
  const groups: unknown = await redis.xinfo('GROUPS', stream)
  const fields: unknown[] = Array.isArray(groups) && Array.isArray(groups[0]) ? groups[0] : []
  const field = (name: string) => Number(fields[fields.indexOf(name) + 1])
  return field('pending') + field('lag')
}

export interface StreamEntry {
  readonly id: string
  readonly data: string
}

/** The entries of an XREADGROUP reply for one stream. */
export function entriesOf(reply: unknown): StreamEntry[] {
  const stream: unknown = Array.isArray(reply) ? reply[0] : undefined
  const entries: unknown = Array.isArray(stream) ? stream[1] : undefined
  if (!Array.isArray(entries)) return []
  return entries.map(([id, [, data]]) => ({ id, data }))
}
