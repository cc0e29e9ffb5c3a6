import type { TcpProxy } from '../../network/proxy.ts'

/** A proxy in front of a broker. */
export interface BrokerProxy extends TcpProxy {
  /** The broker's URL, through the proxy. */
  readonly url: string
}
