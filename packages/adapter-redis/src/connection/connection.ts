import { type Clock, type DriverContext, MessagingError } from '@waybill/core/driver'
import { Cluster } from 'ioredis'
import type { Script } from '../scripts/script.ts'
import { type Argument, needsNewConnection, toRedisError } from '../wire/messages.ts'
import type { Client } from './clients.ts'

/** How connections are made; the same for all of a driver. */
export interface ConnectionSettings {
  readonly makeClient: () => Client
  readonly connectTimeoutMs: number
  readonly clock: Clock
  /** Loaded when the shared connection opens. */
  readonly scripts: readonly Script[]
}

/** One open connection. Once lost it stays lost. */
export class Connection {
  readonly client: Client
  readonly #clock: Clock
  #lastError: Error | undefined
  #lost: ((error: MessagingError) => void) | undefined
  #closing = false
  #dropped = false

  private constructor(client: Client, clock: Clock) {
    this.client = client
    this.#clock = clock
    client.on('error', (error: Error) => {
      this.#lastError = error
    })
    client.on('end', () => {
      if (!this.#closing)
        this.#lost?.(this.#toError(new Error('Connection is closed.'), 'The connection was lost'))
    })
  }

  /** Rejects with `connection-failed`, `access-denied` or, once the signal fires, `aborted`. */
  static async open(
    { makeClient, connectTimeoutMs, clock }: ConnectionSettings,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const connection = new Connection(makeClient(), clock)
    const over = Promise.withResolvers<never>()
    const giveUp = (code: 'timeout' | 'aborted', why: string) =>
      over.reject(new MessagingError(code, why, { retryable: code === 'timeout', fate: 'not-sent' }))
    const onAbort = () => giveUp('aborted', 'Connecting to Redis was ended')
    const cancel = clock.after(connectTimeoutMs, () =>
      giveUp('timeout', `No connection to Redis within ${connectTimeoutMs} ms`),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    try {
      await Promise.race([connection.client.connect(), over.promise])
      return connection
    } catch (thrown) {
      const error = connection.#toError(thrown, 'Connecting to Redis failed')
      await connection.close()
      if (error.code !== 'disconnected' && error.code !== 'timeout') throw error
      throw new MessagingError('connection-failed', error.message, {
        retryable: true,
        cause: error.cause,
        fate: 'not-sent',
      })
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Called once, when the connection is lost without our doing. */
  onLost(listener: (error: MessagingError) => void): void {
    this.#lost = listener
  }

  async call(command: string, ...args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.client.callBuffer(command, ...args)
    } catch (error) {
      throw this.#failed(error, `Redis ${command} failed`)
    }
  }

  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.client.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) {
        throw this.#failed(error, 'A Redis script failed')
      }
      return this.call('EVAL', script.source, keys.length, ...keys, ...args)
    }
  }

  /** So that scripts run in the order in which they are called, none of them going round by way of NOSCRIPT. */
  async load(scripts: readonly Script[]): Promise<void> {
    await Promise.all(scripts.map(({ source }) => this.call('SCRIPT', 'LOAD', source)))
  }

  /** Bounded by ioredis' `disconnectTimeout`. */
  async close(): Promise<void> {
    this.#closing = true
    const { client } = this
    // A cluster is through before the connections to its nodes are.
    const nodes = client instanceof Cluster ? client.nodes('all') : []
    const ended = Promise.all(
      [client, ...nodes]
        .filter(({ status }) => status !== 'end')
        .map((each) => new Promise<void>((resolve) => each.once('end', resolve))),
    )
    client.disconnect()
    const limit = Promise.withResolvers<void>()
    const cancel = this.#clock.after(1000, limit.resolve)
    await Promise.race([ended, limit.promise])
    cancel()
  }

  #failed(thrown: unknown, what: string): MessagingError {
    const error = this.#toError(thrown, what)
    if (needsNewConnection(thrown) && !this.#dropped) {
      this.#dropped = true
      this.client.disconnect()
    }
    return error
  }

  #toError(thrown: unknown, what: string): MessagingError {
    return toRedisError(thrown, what, this.#lastError)
  }
}

/** A connection for commands that do not block, opened when it is needed and again after a loss. */
export class SharedConnection {
  readonly #settings: ConnectionSettings
  readonly #emit: DriverContext['emit']
  readonly #closing = new AbortController()
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

  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return (this.#current ?? (await this.get())).run(script, keys, args)
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
    })
    this.#current = connection
    this.#emit({ type: 'connected' })
    return connection
  }
}

function closed(): MessagingError {
  return new MessagingError('closed', 'The connection to Redis is closed', { fate: 'not-sent' })
}
