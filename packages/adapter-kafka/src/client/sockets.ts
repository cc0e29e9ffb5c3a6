import { connect as connectPlain, isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

/** What kafkajs uses itself (its network/socketFactory.js). */
const keepAliveDelayMs = 60_000

/**
 * The sockets of one client. kafkajs keeps using a connection on which requests time out, and connects anew while it is
 * being closed. The owner of the sockets can end both.
 */
export class Sockets {
  readonly #open = new Map<Socket, string>()
  readonly #connectTimeoutMs: number
  #closed = false

  constructor(connectTimeoutMs: number) {
    this.#connectTimeoutMs = connectTimeoutMs
  }

  readonly factory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (this.#closed) return refused()
    const socket = ssl
      ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
      : connectPlain({ host, port }, onConnect)
    socket.setKeepAlive(true, keepAliveDelayMs)
    socket.setNoDelay(true)
    // kafkajs ends one that is not connected as often as it likes, and each time leaves a listener.
    socket.setMaxListeners(0)
    this.#open.set(socket, `${host}:${port}`)
    const isLate = () => socket.destroy(new Error(`${host}:${port} did not answer in time`))
    const cancel = afterConsidering(this.#connectTimeoutMs, isLate)
    socket.once(ssl ? 'secureConnect' : 'connect', cancel)
    socket.once('close', () => {
      cancel()
      this.#open.delete(socket)
    })
    return socket
  }

  /** Cuts the connections to a broker that does not answer; the client makes new ones. */
  cut(broker: string): void {
    for (const [socket, address] of this.#open) {
      if (address === broker) socket.destroy(new Error(`${broker} did not answer in time`))
    }
  }

  /** Opens no further connections; resolves when the sockets are gone. */
  async close(): Promise<void> {
    this.#closed = true
    const gone = [...this.#open.keys()].map((socket) => {
      const closed = new Promise((resolve) => socket.once('close', resolve))
      // With an error, because kafkajs waits for the answers of a connection that ends without one.
      socket.destroy(new Error('The connection was closed'))
      return closed
    })
    await Promise.all(gone)
  }
}

/**
 * Like a timer, but after what has arrived by then was looked at: after an event loop that was blocked, timers come first.
 */
function afterConsidering(delayMs: number, act: () => void): () => void {
  let pending: NodeJS.Immediate | undefined
  // The first runs behind what is read from sockets in this round, which may come before timers have fired.
  const look = () => {
    pending = setImmediate(() => {
      pending = setImmediate(act)
    })
  }
  const timer = setTimeout(look, delayMs)
  return () => {
    clearTimeout(timer)
    clearImmediate(pending)
  }
}

function refused(): Socket {
  const socket = new Socket()
  socket.setMaxListeners(0)
  process.nextTick(() => socket.destroy(new Error('The client is closed')))
  return socket
}
