import { type DriverContext, MessagingError } from '@waybill/core/driver'
import type { Client } from '../client/make-client.ts'
import type { ScriptName } from '../scripts/script.ts'
import type { Answer, Argument, Call } from '../wire/call.ts'
import { Connection, type ConnectionSettings } from './connection.ts'

/** A connection for commands that do not block, opened when it is needed and again after a loss. */
export class SharedConnection {
  readonly #settings: ConnectionSettings
  readonly #emit: DriverContext['emit']
  readonly #closing = new AbortController()
  readonly #onOpened = new Set<() => void>()
  #opening: Promise<Connection> | undefined
  #current: Connection | undefined

  constructor(settings: ConnectionSettings, emit: DriverContext['emit']) {
    this.#settings = settings
    this.#emit = emit
  }

  /** Undefined while there is none. */
  get client(): Client | undefined {
    return this.#current?.client
  }

  /** The server's id of the connection; empty while there is none, or where the server does not tell. */
  get id(): string {
    return this.#current?.id ?? ''
  }

  /** The listener is called whenever there is a new connection; the result removes it. */
  onOpened(listener: () => void): () => void {
    this.#onOpened.add(listener)
    return () => this.#onOpened.delete(listener)
  }

  async get(): Promise<Connection> {
    if (this.#current !== undefined) return this.#current
    if (this.#closing.signal.aborted) throw closed()
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async call(command: string, ...args: readonly Argument[]): Promise<unknown> {
    return (this.#current ?? (await this.get())).call(command, ...args)
  }

  async run(name: ScriptName, call: Call): Promise<Answer> {
    return (this.#current ?? (await this.get())).run(name, call)
  }

  /** Ends an opening too. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#opening?.catch(() => undefined)
    const connection = this.#current
    this.#current = undefined
    await connection?.close()
  }

  async #open(): Promise<Connection> {
    const { signal } = this.#closing
    const connection = await Connection.open(this.#settings, signal)
    try {
      await connection.load(this.#settings.scripts)
      if (signal.aborted) throw closed()
    } catch (error) {
      await connection.close()
      throw error
    }
    connection.onLost((error) => {
      if (this.#current !== connection) return
      this.#current = undefined
      this.#emit({ type: 'disconnected', error })
      // Peers take a member without connection for dead, so those who are members do not wait for the next call.
      if (this.#onOpened.size > 0) this.get().catch(() => undefined)
    })
    this.#current = connection
    this.#emit({ type: 'connected' })
    for (const listener of this.#onOpened) listener()
    return connection
  }
}

function closed(): MessagingError {
  return new MessagingError('closed', 'The connection to Redis is closed', { fate: 'not-sent' })
}
