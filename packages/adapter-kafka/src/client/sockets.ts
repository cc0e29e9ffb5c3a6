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
  #closed = false

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
    socket.once('close', () => this.#open.delete(socket))
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

function refused(): Socket {
  const socket = new Socket()
  socket.setMaxListeners(0)
  process.nextTick(() => socket.destroy(new Error('The client is closed')))
  return socket
}
