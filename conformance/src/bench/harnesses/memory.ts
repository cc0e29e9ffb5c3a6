import { connect, memory } from '@waybill/core'
import type { Harness } from '../../harness.ts'

/**
 * The memory driver. It has no process of its own to restart and no connection to cut, so cases that need one run on
 * other brokers.
 */
export async function open(name = 'conformance'): Promise<{ harness: Harness; close(): Promise<void> }> {
  const adapter = memory()
  const url = `memory:${name}`
  // A named broker lives as long as any bus uses it.
  const anchor = await connect({ url, adapter })
  const native = anchor.native('memory')
  const harness: Harness = {
    name: 'memory',
    adapter,
    connection: { url },
    timeScale: 1,
    connect: (options) => connect({ url, adapter, ...options }),
    sharedByProcesses: false,
    inspect: {
      publishRaw: async ({ name }, { body, contentType, headers, key }) => {
        native.publishRaw(name, {
          body,
          headers,
          ...(contentType !== undefined && { contentType }),
          ...(key !== undefined && { key }),
        })
      },
      rawMessages: async ({ name }) =>
        (native.broker.topics.get(name)?.since(0) ?? []).map(({ body, contentType, headers, key }) => ({
          body,
          contentType,
          headers,
          ...(key !== undefined && { key }),
        })),
      unsettled: async ({ name }, group) => native.broker.topics.get(name)?.groups.get(group)?.inFlight ?? 0,
    },
    lowered: { messageBytes: { native: { memory: { maxMessageBytes: 128 * 1024 } } } },
  }
  return { harness, close: () => anchor.close() }
}
