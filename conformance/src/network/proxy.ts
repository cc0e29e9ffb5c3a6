import { connect, createServer, type Server, type Socket } from 'node:net'
import { DelayLine } from './delay-line.ts'
import { resetConnection } from './reset-connection.ts'

export interface TcpProxyOptions {
  /** Where accepted connections are forwarded to. */
  readonly target: { readonly host: string; readonly port: number }
  /** The loopback port to listen on. Default: a free one. */
  readonly port?: number
}

/** A TCP proxy on the loopback address that misbehaves on request. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string
  /** Stays the same over {@link refuse} and {@link accept}. */
  readonly port: number
  /** How many client connections are open. */
  readonly connections: number
  /** How many client connections were accepted so far. */
  readonly accepted: number
  /** How many bytes came from clients, and how many from the target. */
  readonly bytes: { readonly fromClients: number; readonly fromTarget: number }
  /** Cuts every open connection with a RST on both sides. New ones are accepted. */
  reset(): void
  /** From now on no byte passes in either direction, connections stay open; new ones are accepted and silent. */
  blackhole(): void
  /** Ends {@link blackhole}: what was held back passes, in order. */
  heal(): void
  /** Delays what arrives from now on by this much in each direction; 0 ends it. Order is kept. */
  delay(ms: number): void
  /** Refuses new connections (ECONNREFUSED); open ones stay. */
  refuse(): void
  /** Ends {@link refuse}. Resolves once new connections are accepted. */
  accept(): Promise<void>
  /** Cuts what is open and stops listening. A second call does nothing. */
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/**
 * Starts a proxy; resolves once it listens.
 *
 * ```ts
 * await using proxy = await createProxy({ target: { host: 'localhost', port: 5672 } })
 * ```
 */
export async function createProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new LoopbackProxy(options)
  await proxy.accept()
  return proxy
}

/** A client's connection, the one to the target made for it, and what is on its way between them. */
interface Pair {
  readonly client: Socket
  readonly upstream: Socket
  readonly lines: readonly DelayLine[]
}

class LoopbackProxy implements TcpProxy {
  readonly host = HOST
  port: number
  accepted = 0
  readonly bytes = { fromClients: 0, fromTarget: 0 }
  readonly #target: TcpProxyOptions['target']
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #silent = false
  #delayMs = 0
  #closed = false

  constructor({ target, port = 0 }: TcpProxyOptions) {
    this.#target = target
    this.port = port
  }

  get connections(): number {
    return this.#pairs.size
  }

  reset(): void {
    for (const pair of [...this.#pairs]) {
      this.#forget(pair)
      resetConnection(pair.client)
      resetConnection(pair.upstream)
    }
  }

  blackhole(): void {
    this.#silent = true
    for (const { client, upstream, lines } of this.#pairs) {
      client.pause()
      upstream.pause()
      for (const line of lines) line.hold()
    }
  }

  heal(): void {
    this.#silent = false
    for (const { client, upstream, lines } of this.#pairs) {
      for (const line of lines) line.release()
      client.resume()
      upstream.resume()
    }
  }

  delay(ms: number): void {
    this.#delayMs = ms
  }

  refuse(): void {
    // Its callback is of no interest: it comes when the open connections are gone, and those stay.
    this.#server?.close()
    this.#server = undefined
  }

  async accept(): Promise<void> {
    if (this.#server !== undefined || this.#closed) return
    // Half-open connections are passed on as such: what the proxy adds is only what it is told to.
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#open(client))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, HOST, () => {
        server.off('error', reject)
        resolve()
      })
    })
    const address = server.address()
    if (address !== null && typeof address === 'object') this.port = address.port
  }

  async close(): Promise<void> {
    this.#closed = true
    this.refuse()
    this.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #open(client: Socket): void {
    this.accepted += 1
    const upstream = connect({ ...this.#target, noDelay: true, allowHalfOpen: true })
    const lines = [new DelayLine(), new DelayLine()] as const
    const pair: Pair = { client, upstream, lines }
    this.#pairs.add(pair)
    this.#forward(pair, client, upstream, lines[0])
    this.#forward(pair, upstream, client, lines[1])
  }

  #forward(pair: Pair, from: Socket, to: Socket, line: DelayLine): void {
    if (this.#silent) {
      from.pause()
      line.hold()
    }
    from.on('data', (chunk) => {
      this.bytes[from === pair.client ? 'fromClients' : 'fromTarget'] += chunk.length
      line.pass(this.#delayMs, () => {
        if (to.destroyed || to.write(chunk)) return
        from.pause()
        to.once('drain', () => {
          if (!this.#silent) from.resume()
        })
      })
    })
    from.on('end', () => line.pass(this.#delayMs, () => to.end()))
    from.on('error', () => {
      this.#forget(pair)
      resetConnection(to)
    })
    from.on('close', () => line.pass(this.#delayMs, () => to.destroySoon()))
    to.on('close', () => {
      if (from.destroyed) this.#forget(pair)
    })
  }

  #forget(pair: Pair): void {
    this.#pairs.delete(pair)
    for (const line of pair.lines) line.clear()
  }
}
