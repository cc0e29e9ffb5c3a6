import { type ConnectOptions, connect, type NativeOptions } from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import type { Harness } from '../../harness.ts'
import type { RunningBroker } from '../brokers/index.ts'

type AtBroker = Pick<
  Harness,
  'adapter' | 'connection' | 'connect' | 'sharedByProcesses' | 'openProxy' | 'broker'
>

/**
 * What every harness says of a broker in a container: how to connect, from other processes too, a proxy in front of it, and
 * how to restart it. `options` are the adapter's native options; a case's own win over them one by one.
 */
export function atBroker(broker: RunningBroker, adapter: Adapter, options: object): AtBroker {
  const { url } = broker
  const native = (given: ConnectOptions['native'] = {}): NativeOptions => {
    const own: unknown = given[adapter.name]
    return { ...given, [adapter.name]: { ...options, ...(typeof own === 'object' && own) } }
  }
  return {
    adapter,
    connection: { url, native: native() },
    connect: (given = {}) => connect({ url, adapter, ...given, native: native(given.native) }),
    sharedByProcesses: true,
    async openProxy() {
      const proxy = await broker.openProxy()
      return { options: { url: proxy.url }, proxy, close: () => proxy.close() }
    },
    ...(broker.canRestart && { broker }),
  }
}
