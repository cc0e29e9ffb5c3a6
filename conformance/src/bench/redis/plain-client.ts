import { Redis } from 'ioredis'
import { z } from 'zod'

/** A connection past the SDK, one for each use: cases restart servers. */
export async function plainly<Value>(url: string, use: (client: Redis) => Promise<Value>): Promise<Value> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null })
  try {
    await client.connect()
    return await use(client)
  } finally {
    client.disconnect()
  }
}

const rows = z.array(z.array(z.unknown()))

/** The names of the group's consumers on these streams. */
export async function consumerNames(
  client: Redis,
  sources: readonly string[],
  group: string,
): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const source of sources) {
    for (const row of rows.parse(await client.xinfo('CONSUMERS', source, group))) names.add(String(row[1]))
  }
  return names
}
