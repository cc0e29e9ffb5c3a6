import { adapter } from '@waybill/adapter-redis'
import { connect } from '@waybill/core'
import type { Harness } from '../../harness.ts'
import { startBroker } from '../brokers/index.ts'
import { Servers } from '../redis/servers.ts'

/** The Redis adapter on a cluster of three masters. Nothing there is cut or restarted, or looked at past the SDK. */
export async function open(): Promise<{ harness: Harness; close(): Promise<void> }> {
  const broker = await startBroker('redis')
  try {
    const servers = new Servers(broker)
    if ((await servers.address()) === undefined)
      throw new Error('The nodes of a cluster are not reached at the address of their container')
    const url = await servers.startCluster()
    const harness: Harness = {
      name: 'redis-cluster',
      adapter,
      connection: { url },
      timeScale: 1,
      connect: (options = {}) => connect({ url, adapter, ...options }),
      sharedByProcesses: true,
      lowered: { messageBytes: { native: { redis: { maxMessageBytes: 128 * 1024 } } } },
    }
    return { harness, close: () => broker.stop() }
  } catch (error) {
    await broker.stop()
    throw error
  }
}
