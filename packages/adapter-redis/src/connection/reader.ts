import type { Script } from '../scripts/script.ts'
import type { Argument } from '../wire/messages.ts'
import { asNumber } from '../wire/reply.ts'
import { Connection, type ConnectionSettings, type SharedConnection } from './connection.ts'

/** A connection of a subscription's own, for reads that block. Once lost it stays lost: core subscribes again. */
export class Reader {
  readonly #connection: Connection
  readonly #shared: SharedConnection
  readonly #id: number | undefined
  readonly name: string
  #closed: () => void = () => {}

  private constructor(
    connection: Connection,
    shared: SharedConnection,
    id: number | undefined,
    name: string,
  ) {
    this.#connection = connection
    this.#shared = shared
    this.#id = id
    this.name = name
  }

  /**
   * `toName` is given the server's id of the connection; undefined in a cluster, where one client is many connections.
   * What it answers becomes the connection's name.
   */
  static async open(
    settings: ConnectionSettings,
    shared: SharedConnection,
    toName: (id: number | undefined) => string,
  ): Promise<Reader> {
    const connection = await Connection.open(settings)
    try {
      if (connection.client.isCluster) return new Reader(connection, shared, undefined, toName(undefined))
      const id = asNumber(await connection.call('CLIENT', 'ID'))
      const name = toName(id)
      await connection.call('CLIENT', 'SETNAME', name)
      return new Reader(connection, shared, id, name)
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#connection.run(script, keys, args)
  }

  call(command: string, ...args: readonly Argument[]): Promise<unknown> {
    return this.#connection.call(command, ...args)
  }

  /**
   * A command that blocks for a limited time, and ends early when the signal fires. Ended that way it still answers, so
   * nothing that it took is lost.
   */
  async block(signal: AbortSignal, command: string, ...args: readonly Argument[]): Promise<unknown> {
    const onAbort = () => this.#unblock()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const reply = this.call(command, ...args)
      if (signal.aborted) onAbort()
      return await reply
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** For a connection that is switched to another mode; the reader stays its owner. */
  get connection(): Connection {
    return this.#connection
  }

  /** The listener is called once the reader is closed by its owner. */
  onClose(listener: () => void): void {
    this.#closed = listener
  }

  async close(): Promise<void> {
    await this.#connection.close()
    this.#closed()
  }

  #unblock(): void {
    if (this.#id === undefined) return
    // Not allowed, or too early: then the command ends by itself, after the poll interval.
    this.#shared.call('CLIENT', 'UNBLOCK', this.#id).catch(() => undefined)
  }
}
