import type { StartedTestContainer } from 'testcontainers'
import { createProxy } from '../../network/proxy.ts'
import type { BrokerProxy } from './broker-proxy.ts'
import type { BrokerDefinition, Placement, ProxyListener } from './definition.ts'
import { docker } from './docker.ts'
import { chooseFreePort } from './free-port.ts'
import { forgetContainer } from './leftovers.ts'
import type { BrokerName, ExecResult, RunningBroker } from './running-broker.ts'
import { readLogs, waitUntilReady } from './wait-until-ready.ts'

/** How long a broker may take to stop in an orderly way before the engine kills it. */
const GRACE_SECONDS = 30

export interface ContainerBrokerParts {
  readonly name: BrokerName
  readonly definition: BrokerDefinition
  readonly placement: Placement
  readonly containerName: string
  readonly started: StartedTestContainer
  readonly startTimeoutMs: number
}

/** A broker in a container that this process started. */
export class ContainerBroker implements RunningBroker {
  readonly canRestart = true
  readonly name: BrokerName
  readonly url: string
  readonly host: string
  readonly port: number
  readonly #parts: ContainerBrokerParts
  readonly #proxies = new Set<BrokerProxy>()
  readonly #takenListeners = new Set<ProxyListener>()
  #stopped: Promise<void> | undefined

  constructor(parts: ContainerBrokerParts) {
    const { host, port } = parts.placement
    this.#parts = parts
    this.name = parts.name
    this.host = host
    this.port = port
    this.url = parts.definition.url(host, port)
  }

  portOf(containerPort: number): number {
    return this.#parts.started.getMappedPort(containerPort)
  }

  async restart(): Promise<void> {
    await this.#docker('restart', '--time', String(GRACE_SECONDS))
    await this.#ready()
  }

  async kill(): Promise<void> {
    await this.#docker('kill', '--signal', 'KILL')
    // Until it is really gone, `start` would find it running and do nothing.
    await this.#docker('wait')
  }

  async start(): Promise<void> {
    await this.#docker('start')
    await this.#ready()
  }

  async pause(): Promise<void> {
    await this.#docker('pause')
  }

  async unpause(): Promise<void> {
    await this.#docker('unpause')
  }

  async exec(command: readonly string[]): Promise<ExecResult> {
    const { exitCode, output } = await this.#parts.started.exec([...command])
    return { exitCode, output }
  }

  logs(lines?: number): Promise<string> {
    return readLogs(this.#parts.containerName, lines)
  }

  async openProxy(): Promise<BrokerProxy> {
    const listener = this.#takeListener()
    const port = listener?.listenPort ?? (await chooseFreePort())
    const target = { host: this.host, port: listener?.targetPort ?? this.port }
    const proxy = await createProxy({ target, port })
    const close = proxy.close.bind(proxy)
    const brokerProxy = Object.assign(proxy, {
      url: this.#parts.definition.url(proxy.host, port),
      close: async () => {
        await close()
        this.#proxies.delete(brokerProxy)
        if (listener !== undefined) this.#takenListeners.delete(listener)
      },
    })
    this.#proxies.add(brokerProxy)
    return brokerProxy
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#remove()
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #remove(): Promise<void> {
    await Promise.all([...this.#proxies].map((proxy) => proxy.close()))
    await docker(['rm', '-f', '-v', this.#parts.containerName])
    forgetContainer(this.#parts.containerName)
  }

  /** A free one of the listeners that name a proxy's port; `undefined` for a broker that needs none. */
  #takeListener(): ProxyListener | undefined {
    const { proxies } = this.#parts.placement
    if (proxies.length === 0) return undefined
    const free = proxies.find((listener) => !this.#takenListeners.has(listener))
    if (free === undefined) {
      throw new Error(
        `All ${proxies.length} proxied listeners of ${this.name} are in use: close a proxy first`,
      )
    }
    this.#takenListeners.add(free)
    return free
  }

  async #docker(verb: string, ...options: readonly string[]): Promise<void> {
    await docker([verb, ...options, this.#parts.containerName])
  }

  async #ready(): Promise<void> {
    await waitUntilReady({
      container: this.#parts.containerName,
      probe: () => this.#parts.definition.probe(this.host, this.port),
      timeoutMs: this.#parts.startTimeoutMs,
    })
  }
}
