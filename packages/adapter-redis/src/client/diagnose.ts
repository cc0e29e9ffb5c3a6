import { toError } from '@waybill/core/driver'
import type { RedisSettings } from '../options.ts'
import { type Client, makeClient } from './make-client.ts'

/**
 * Why a cluster cannot be reached. Its client asks each node over a connection whose errors it drops, and only says that
 * none was available; so each is asked once more, plainly. Undefined when one of them answers.
 */
export async function diagnose(settings: RedisSettings, name: string): Promise<Error | undefined> {
  const causes = settings.hosts.map(async (host) => {
    const client = await makeClient({ ...settings, cluster: false, hosts: [host] }, name)
    try {
      return await causeAt(client)
    } finally {
      client.disconnect()
    }
  })
  const found = await Promise.all(causes)
  return found.every((cause) => cause !== undefined) ? found[0] : undefined
}

async function causeAt(client: Client): Promise<Error | undefined> {
  let told: Error | undefined
  client.on('error', (error: Error) => {
    told ??= error
  })
  try {
    await client.connect()
    await client.ping()
    return undefined
  } catch (thrown) {
    return told ?? toError(thrown)
  }
}
