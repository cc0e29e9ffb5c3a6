import type { ImageKind, ImageSource } from './images.ts'

/** What is settled before the container is created, and stays over restarts. */
export interface Placement {
  readonly kind: ImageKind
  /** How clients reach the published ports. */
  readonly host: string
  readonly port: number
  /** For brokers that tell clients where to connect, see {@link BrokerDefinition.proxyListeners}. */
  readonly proxies: readonly ProxyListener[]
  /** The caller's, in the broker's own spelling. */
  readonly configuration: Readonly<Record<string, string>>
}

/** A listener of the broker whose clients are told to come through a TCP proxy. */
export interface ProxyListener {
  /** The host port on which the broker is reached behind the proxy. */
  readonly targetPort: number
  /** The host port that the broker tells clients, on which the proxy has to listen. */
  readonly listenPort: number
}

export interface ContainerFile {
  /** Its path in the container. */
  readonly target: string
  readonly content: string
}

/** What a broker's container is started with. */
export interface ContainerPlan {
  /** Container port to host port. */
  readonly ports: readonly { readonly container: number; readonly host: number }[]
  readonly environment?: Readonly<Record<string, string>>
  readonly command?: readonly string[]
  readonly files?: readonly ContainerFile[]
  /** Paths that get an anonymous volume, which lasts as long as the container. */
  readonly volumes?: readonly string[]
}

/** Everything that differs from broker to broker. */
export interface BrokerDefinition extends ImageSource {
  /** The environment variable with the URL of a broker that already runs. */
  readonly urlVariable: string
  /** How many listeners behind a proxy the broker needs; 0 where any proxy will do. */
  readonly proxyListeners: number
  readonly defaultPort: number
  url(host: string, port: number): string
  plan(placement: Placement): ContainerPlan
  /** Resolves once the broker accepts work; fails while it does not. */
  probe(host: string, port: number): Promise<void>
}
