import { asUtf8 } from '../wire/reply.ts'

/** What the adapter looks at in the reply to INFO (Redis documentation, "INFO"). */
export interface ServerInfo {
  readonly server: 'redis' | 'valkey'
  readonly version: string
  readonly role: string | undefined
  readonly appendOnly: boolean
  readonly evictionPolicy: string | undefined
  readonly usedMemory: number | undefined
  readonly maxMemory: number | undefined
}

export function parseServerInfo(reply: unknown): ServerInfo {
  const fields = new Map<string, string>()
  for (const line of asUtf8(reply).split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  const figure = (name: string) => {
    const value = fields.get(name)
    return value === undefined ? undefined : Number(value)
  }
  const valkey = fields.get('valkey_version')
  return {
    server: valkey === undefined ? 'redis' : 'valkey',
    version: valkey ?? fields.get('redis_version') ?? 'unknown',
    role: fields.get('role'),
    appendOnly: fields.get('aof_enabled') === '1',
    evictionPolicy: fields.get('maxmemory_policy'),
    usedMemory: figure('used_memory'),
    maxMemory: figure('maxmemory'),
  }
}

/** What an operator should know of a server that may lose messages; undefined when there is nothing to tell. */
export function evictionWarning(
  { evictionPolicy, maxMemory }: ServerInfo,
  what = 'messages',
): string | undefined {
  if (evictionPolicy === undefined || evictionPolicy === 'noeviction' || maxMemory === 0) return undefined
  return `maxmemory-policy is ${evictionPolicy}: when memory is full Redis may evict ${what}; set it to noeviction`
}
