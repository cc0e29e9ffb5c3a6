import { connect, createServer, type Server, type Socket } from 'node:net'

export interface TcpProxyOptions {
  /** Where accepted connections are forwarded to. */
  readonly target: { readonly host: string; readonly port: number }
  /** The loopback port to listen on. Default: a free one. */
  readonly port?: number
}

/** A TCP proxy on the loopback address that misbehaves on request. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** How many client connections are open. */
  readonly connections: number
  /** How many client connections were accepted so far. */
  readonly accepted: number
  /** Cuts every open connection with a RST on both sides. New ones are accepted. */
  reset(): void
  /** From now on no byte passes in either direction, connections stay open; new ones are accepted and silent. */
  blackhole(): void
  /** Ends {@link blackhole}: what was held back is delivered, nothing is lost. */
  heal(): void
  /** Delays every byte by this much in each direction; 0 ends it. */
  delay(ms: number): void
  /** Refuses new connections (ECONNREFUSED); open ones stay. */
  refuse(): Promise<void>
  /** Ends {@link refuse}. */
  accept(): Promise<void>
  /** Cuts what is open and stops listening. A second call does nothing. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/** Starts a proxy; resolves once it listens. */
export async function createProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new LoopbackProxy(options.target)
  await proxy.listen(options.port ?? 0)
  return proxy
}

/** A client's connection and the one to the target made for it. */
interface Pair {
  readonly client: Socket
  readonly upstream: Socket
}

class LoopbackProxy implements TcpProxy {
  readonly host = HOST
  port = 0
  accepted = 0
  readonly #target: TcpProxyOptions['target']
  readonly #pairs = new Set<Pair>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #server: Server | undefined
  #silent = false
  #delayMs = 0
  #closed = false

  constructor(target: TcpProxyOptions['target']) {
    this.#target = target
  }

  get connections(): number {
    return this.#pairs.size
  }

  async listen(port: number): Promise<void> {
    const server = createServer({ noDelay: true }, (client) => this.#open(client))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, HOST, () => {
        server.off('error', reject)
        resolve()
      })
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') this.port = address.port
    this.#server = server
  }

  reset(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
    this.#pairs.clear()
  }

  blackhole(): void {
    this.#silent = true
    for (const { client, upstream } of this.#pairs) {
      client.pause()
      upstream.pause()
    }
  }

  heal(): void {
    this.#silent = false
    for (const { client, upstream } of this.#pairs) {
      client.resume()
      upstream.resume()
    }
  }

  delay(ms: number): void {
    this.#delayMs = ms
  }

  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    // Not awaited to its end: `close` reports back only once the open connections are gone, and they stay.
    server?.close()
  }

  async accept(): Promise<void> {
    if (this.#server === undefined && !this.#closed) await this.listen(this.port)
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.refuse()
    this.reset()
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #open(client: Socket): void {
    this.accepted += 1
    const upstream = connect({ ...this.#target, noDelay: true })
    const pair: Pair = { client, upstream }
    this.#pairs.add(pair)
    this.#pipe(pair, client, upstream)
    this.#pipe(pair, upstream, client)
  }

  #pipe(pair: Pair, from: Socket, to: Socket): void {
    if (this.#silent) from.pause()
    from.on('data', (chunk) => {
      this.#later(() => {
        if (to.destroyed || to.write(chunk)) return
        from.pause()
        to.once('drain', () => {
          if (!this.#silent) from.resume()
        })
      })
    })
    from.on('end', () => this.#later(() => to.end()))
    from.on('error', () => to.resetAndDestroy())
    from.on('close', () => {
      this.#pairs.delete(pair)
      // A close without an end was a cut, and is passed on as one; half-closed connections finish by themselves.
      this.#later(() => to.destroySoon())
    })
  }

  /** Runs at once, or after the delay that applies now; equal delays keep their order. */
  #later(action: () => void): void {
    if (this.#delayMs === 0 && this.#timers.size === 0) {
      action()
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, this.#delayMs)
    this.#timers.add(timer)
  }
}
