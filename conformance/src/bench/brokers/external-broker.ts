import { createProxy } from '../../network/proxy.ts'
import type { BrokerProxy } from './broker-proxy.ts'
import type { BrokerDefinition } from './definition.ts'
import type { BrokerName, ExecResult, RunningBroker } from './running-broker.ts'

/** A broker that somebody else runs: it can be used, but neither restarted nor looked into. */
export class ExternalBroker implements RunningBroker {
  readonly canRestart = false
  readonly name: BrokerName
  readonly url: string
  readonly host: string
  readonly port: number
  readonly #definition: BrokerDefinition

  constructor(name: BrokerName, definition: BrokerDefinition, url: string) {
    const { hostname, port } = parse(url, definition.urlVariable)
    this.name = name
    this.url = url
    this.host = hostname
    this.port = port === '' ? definition.defaultPort : Number(port)
    this.#definition = definition
  }

  portOf(): number {
    throw this.#refusal('portOf')
  }

  restart(): Promise<void> {
    return this.#refuse('restart')
  }

  kill(): Promise<void> {
    return this.#refuse('kill')
  }

  start(): Promise<void> {
    return this.#refuse('start')
  }

  pause(): Promise<void> {
    return this.#refuse('pause')
  }

  unpause(): Promise<void> {
    return this.#refuse('unpause')
  }

  exec(): Promise<ExecResult> {
    return this.#refuse('exec')
  }

  logs(): Promise<string> {
    return this.#refuse('logs')
  }

  async openProxy(): Promise<BrokerProxy> {
    // Such a broker tells its clients where to connect, past any proxy, unless it is configured for one.
    if (this.#definition.proxyListeners > 0) return this.#refuse('openProxy')
    const proxy = await createProxy({ target: { host: this.host, port: this.port } })
    const url = new URL(this.url)
    url.hostname = proxy.host
    url.port = String(proxy.port)
    return Object.assign(proxy, { url: url.href })
  }

  async stop(): Promise<void> {
    // Not ours to stop.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #refuse(verb: string): Promise<never> {
    throw this.#refusal(verb)
  }

  #refusal(verb: string): Error {
    const { urlVariable } = this.#definition
    return new Error(
      `${this.name}: ${verb}() needs a broker in a container of ours, but ${urlVariable} names one that ` +
        `somebody else runs. Unset ${urlVariable} to have one started.`,
    )
  }
}

function parse(url: string, variable: string): URL {
  if (!URL.canParse(url)) throw new Error(`${variable} is not a URL: ${url}`)
  return new URL(url)
}
