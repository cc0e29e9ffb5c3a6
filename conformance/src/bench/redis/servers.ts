import { exchange } from '../brokers/exchange.ts'
import type { RunningBroker } from '../brokers/index.ts'
import type { Identity } from '../certificates.ts'

/** Settings that a server starts with, as its command line has them. */
export type ServerOptions = Readonly<Record<string, string>>

/**
 * Further servers in a broker's container: replicas, Sentinels, nodes of a cluster. They are reached at the container's
 * own address, so only where the engine runs on this machine.
 */
export class Servers {
  readonly #broker: RunningBroker
  readonly #program: string
  #port = 7000
  #address: Promise<string | undefined> | undefined

  constructor(broker: RunningBroker) {
    this.#broker = broker
    this.#program = broker.name === 'valkey' ? 'valkey' : 'redis'
  }

  /** Undefined when it cannot be reached from here. */
  address(): Promise<string | undefined> {
    this.#address ??= this.#findAddress()
    return this.#address
  }

  /** Free in the container, and so is the one 10,000 above it. */
  nextPort(): number {
    this.#port += 1
    return this.#port
  }

  /** Resolves once it answers. */
  async start(port: number, options: ServerOptions = {}): Promise<void> {
    const all: ServerOptions = {
      port: String(port),
      dir: this.#folder(port),
      pidfile: `${this.#folder(port)}/pid`,
      daemonize: 'yes',
      save: '',
      'protected-mode': 'no',
      ...options,
    }
    const words = Object.entries(all).map(([name, value]) => `--${name} '${value}'`)
    await this.sh(`mkdir -p ${this.#folder(port)}; ${this.#program}-server ${words.join(' ')}`)
    if (all.port !== '0') await this.#ready(port)
  }

  /** What a server takes to speak nothing but TLS, with this certificate, and to trust whoever answers it. */
  async tlsOptions(port: number, { certificate, key }: Identity, authority: string): Promise<ServerOptions> {
    const folder = this.#folder(port)
    await this.sh(`mkdir -p ${folder}`)
    for (const [name, text] of Object.entries({ certificate, key, authority }))
      await this.sh(`printf '%s' '${text}' > ${folder}/${name}`)
    return {
      port: '0',
      'tls-port': String(port),
      'tls-cert-file': `${folder}/certificate`,
      'tls-key-file': `${folder}/key`,
      'tls-ca-cert-file': `${folder}/authority`,
      'tls-auth-clients': 'no',
      'tls-replication': 'yes',
    }
  }

  /** Watches the server at `master` under the name `main`; promotes a replica a second after it stops answering. */
  async startSentinel(port: number, master: number, options: ServerOptions = {}): Promise<void> {
    const folder = this.#folder(port)
    const lines = [
      ...Object.entries({ port: String(port), ...options }).map(([name, value]) => `${name} ${value}`),
      `dir ${folder}`,
      `pidfile ${folder}/pid`,
      'protected-mode no',
      'daemonize yes',
      `sentinel monitor main ${await this.address()} ${master} 1`,
      'sentinel down-after-milliseconds main 1000',
      'sentinel failover-timeout main 10000',
    ]
    const file = `${folder}/sentinel.conf`
    await this.sh(`mkdir -p ${folder}; printf '${lines.join('\\n')}\\n' > ${file}`)
    await this.sh(`${this.#program}-server ${file} --sentinel`)
    if (options.port !== '0') await this.#ready(port)
  }

  /** Three masters that share the slots; resolves with a URL once each of them knows that. */
  async startCluster(tls?: { readonly server: Identity; readonly authority: string }): Promise<string> {
    const ports = [this.nextPort(), this.nextPort(), this.nextPort()]
    const nodes = ports.map(async (port) => {
      await this.start(port, {
        'cluster-enabled': 'yes',
        'cluster-node-timeout': '5000',
        'cluster-announce-ip': (await this.address()) ?? '',
        appendonly: 'yes',
        ...(tls !== undefined && {
          ...(await this.tlsOptions(port, tls.server, tls.authority)),
          'tls-cluster': 'yes',
        }),
      })
      return `${await this.address()}:${port}`
    })
    const all = await Promise.all(nodes)
    const over = tls === undefined ? '' : '--tls --insecure '
    await this.cli(`${over}--cluster create ${all.join(' ')} --cluster-yes`)
    for (const port of ports)
      await this.until(`node ${port} to see the cluster`, async () =>
        (await this.cli(`${over}-p ${port} cluster info`)).includes('cluster_state:ok'),
      )
    return `${tls === undefined ? 'redis' : 'rediss'}://${all.join(',')}?cluster=true`
  }

  signal(port: number, signal: 'KILL' | 'STOP' | 'CONT'): Promise<string> {
    return this.sh(`kill -${signal} $(cat ${this.#folder(port)}/pid)`)
  }

  cli(args: string): Promise<string> {
    return this.sh(`${this.#program}-cli ${args}`)
  }

  async sh(script: string): Promise<string> {
    const { exitCode, output } = await this.#broker.exec(['sh', '-c', script])
    if (exitCode !== 0) throw new Error(`${script}: exit code ${exitCode}\n${output}`)
    return output
  }

  async until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 30_000
    while (!(await isSo())) {
      if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}`)
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
  }

  #folder(port: number): string {
    return `/data/${port}`
  }

  async #ready(port: number): Promise<void> {
    const host = (await this.address()) ?? ''
    await this.until(`the server at ${port}`, () =>
      exchange(host, port, Buffer.from('PING\r\n')).then(
        (answer) => answer.toString('latin1').startsWith('+PONG'),
        () => false,
      ),
    )
  }

  async #findAddress(): Promise<string | undefined> {
    if (!this.#broker.canRestart) return undefined
    const address = (await this.sh('hostname -i')).trim().split(/\s+/)[0] ?? ''
    return exchange(address, 6379, Buffer.from('PING\r\n')).then(
      () => address,
      () => undefined,
    )
  }
}
