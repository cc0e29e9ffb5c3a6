import { type Clock, MessagingError } from '@waybill/core/driver'
import { connectionsOf, isCluster } from '../client/connections-of.ts'
import { causeOf, connectionClosed, saysOnlyClosed } from '../client/faults.ts'
import { ignoreFurtherErrors } from '../client/ignore-further-errors.ts'
import type { Client } from '../client/make-client.ts'
import { needsNewConnection, toRedisError } from '../errors.ts'
import { type ScriptName, script } from '../scripts/script.ts'
import { type Answer, type Argument, type Call, decodeAnswer, encodeCall } from '../wire/call.ts'
import { asText } from '../wire/reply.ts'

/** How connections are made; the same for all of a driver. */
export interface ConnectionSettings {
  readonly makeClient: () => Promise<Client>
  /** Why no connection could be opened, where the client does not say. */
  readonly diagnose?: () => Promise<Error | undefined>
  /** Explains why none could be opened. */
  readonly explain: (error: MessagingError) => MessagingError
  readonly database: number
  readonly connectTimeoutMs: number
  readonly clock: Clock
  /** Loaded when the shared connection opens. */
  readonly scripts: readonly ScriptName[]
}

/** One open connection. Once lost it stays lost. */
export class Connection {
  readonly client: Client
  /** The server's id of it; empty in a cluster, where one client is many connections, and where our user may not ask. */
  id = ''
  readonly #clock: Clock
  #lastError: Error | undefined
  #lost: ((error: MessagingError) => void) | undefined
  #closing = false
  #dropped = false

  private constructor(client: Client, clock: Clock) {
    this.client = client
    this.#clock = clock
    const note = (error: Error) => {
      ignoreFurtherErrors(client)
      const cause = causeOf(error)
      // Of a node that cannot be reached, a cluster repeats in the end only that its connection is closed.
      if (this.#lastError === undefined || !saysOnlyClosed(cause)) this.#lastError = cause
    }
    client.on('error', note)
    client.on('node error', note)
    client.on('end', () => {
      if (!this.#closing) this.#lost?.(this.#toError(connectionClosed(), 'The connection was lost'))
    })
  }

  /** Rejects with `connection-failed`, `access-denied` or, once the signal fires, `aborted`. */
  static async open(
    { makeClient, diagnose, explain, connectTimeoutMs, clock, database }: ConnectionSettings,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const over = Promise.withResolvers<never>()
    const giveUp = (code: 'timeout' | 'aborted', why: string) =>
      over.reject(new MessagingError(code, why, { retryable: code === 'timeout', fate: 'not-sent' }))
    const onAbort = () => giveUp('aborted', 'Connecting to Redis was aborted')
    const cancel = clock.after(connectTimeoutMs, () =>
      giveUp('timeout', `No connection to Redis within ${connectTimeoutMs} ms`),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    let connection: Connection | undefined
    try {
      connection = new Connection(await Promise.race([makeClient(), over.promise]), clock)
      await Promise.race([connection.#connect(database), over.promise])
      return connection
    } catch (thrown) {
      const what = 'Connecting to Redis failed'
      let error =
        connection === undefined ? toRedisError(thrown, what) : connection.#toError(causeOf(thrown), what)
      await connection?.close()
      if (error.code === 'disconnected' && diagnose !== undefined) {
        const cause = await Promise.race([diagnose(), over.promise]).catch(() => undefined)
        if (cause !== undefined) error = toRedisError(new Error('no node can be reached'), what, cause)
      }
      throw explain(error)
    } finally {
      cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Called once, when the connection is lost unexpectedly. */
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

  async run(name: ScriptName, call: Call): Promise<Answer> {
    const { sha, source } = script(name)
    const args = encodeCall(call)
    try {
      return decodeAnswer(await this.client.callBuffer('EVALSHA', sha, ...args))
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) {
        throw this.#failed(error, `The Redis script ${name} failed`)
      }
      return decodeAnswer(await this.call('EVAL', source, ...args))
    }
  }

  /** So that scripts run in the order in which they are called: none has to be sent again after NOSCRIPT. */
  async load(names: readonly ScriptName[]): Promise<void> {
    await Promise.all(names.map((name) => this.call('SCRIPT', 'LOAD', script(name).source)))
  }

  /** Drops the connection: pending calls fail, and the loss is reported. */
  drop(): void {
    this.#dropped = true
    this.client.disconnect()
  }

  /** Bounded by the time that the client gives the server to close its side. */
  async close(): Promise<void> {
    this.#closing = true
    const { client } = this
    const ended = Promise.all(
      connectionsOf(client)
        .filter(({ status }) => status !== 'end')
        .map((each) => new Promise<void>((resolve) => each.once('end', resolve))),
    )
    client.disconnect()
    const limit = Promise.withResolvers<void>()
    const cancel = this.#clock.after(1000, limit.resolve)
    await Promise.race([ended, limit.promise])
    cancel()
  }

  async #connect(database: number): Promise<void> {
    await this.client.connect()
    // Before anything else, and answered: commands must not reach another database than the URL's.
    if (database !== 0) await this.client.callBuffer('SELECT', database)
    if (isCluster(this.client)) return
    try {
      this.id = asText(await this.client.callBuffer('CLIENT', 'ID'))
    } catch (thrown) {
      if (!/^NOPERM|unknown/i.test(thrown instanceof Error ? thrown.message : '')) throw thrown
    }
  }

  #failed(thrown: unknown, what: string): MessagingError {
    const error = this.#toError(thrown, what)
    if (needsNewConnection(thrown) && !this.#dropped) this.drop()
    return error
  }

  #toError(thrown: unknown, what: string): MessagingError {
    return toRedisError(thrown, what, this.#lastError)
  }
}
