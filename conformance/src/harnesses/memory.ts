import { connect, memory } from '@waybill/core'
import type { Harness } from '../harness.ts'

/**
 * The memory driver. It has no process of its own to restart and no connection to cut, so cases that need one run on
 * other brokers.
 */
export async function open(): Promise<{ harness: Harness; close(): Promise<void> }> {
  const adapter = memory()
  const url = 'memory:conformance'
  const harness: Harness = {
    name: 'memory',
    adapter,
    connection: { url },
    timeScale: 1,
    connect: (options) => connect({ url, adapter, ...options }),
    sharedByProcesses: false,
  }
  // A named broker lives as long as any bus uses it.
  const anchor = await harness.connect()
  return { harness, close: () => anchor.close() }
}
