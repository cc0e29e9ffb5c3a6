import { type MessagingError, sleep } from '@waybill/core/driver'
import { subscriberOf } from '../client/subscriber-of.ts'
import { toRedisError } from '../errors.ts'
import { Connection, type ConnectionSettings } from './connection.ts'

export interface ChannelListener {
  readonly payload: (payload: Buffer, channel: string) => void
  /** The connection is there again, so something may have been missed. */
  readonly opened: () => void
  /** The connection is lost: nothing is heard until `ensure` has opened another. */
  readonly lost: (error: MessagingError) => void
}

/**
 * The one Pub/Sub connection of a driver, shared by all of its subscriptions: wake-ups and notices. Opened when it is first
 * needed; after a loss, a listener asks for it again with `ensure`.
 */
export class ListeningConnection {
  readonly #settings: ConnectionSettings
  readonly #requestTimeoutMs: number
  readonly #closing = new AbortController()
  readonly #channels = new Map<string, Set<ChannelListener>>()
  #connection: Connection | undefined
  #opening: Promise<void> | undefined
  #heardAt = 0

  constructor(settings: ConnectionSettings, requestTimeoutMs: number) {
    this.#settings = settings
    this.#requestTimeoutMs = requestTimeoutMs
  }

  /** Resolves once the server knows of it. The result ends it. */
  async listen(channels: readonly string[], listener: ChannelListener): Promise<() => void> {
    const fresh = channels.filter((channel) => !this.#channels.has(channel))
    for (const channel of channels) {
      const listeners = this.#channels.get(channel) ?? new Set()
      this.#channels.set(channel, listeners.add(listener))
    }
    try {
      const connection = this.#connection
      if (connection === undefined) await this.ensure()
      else if (fresh.length > 0) await this.#subscribe(connection, fresh)
    } catch (error) {
      this.#leave(channels, listener)
      throw error
    }
    return () => this.#leave(channels, listener)
  }

  /**
   * Opens the connection again after a loss. A connection on which nothing was heard for a while is asked whether it is
   * still there, in the background; one that does not answer is lost.
   */
  async ensure(): Promise<void> {
    if (this.#closing.signal.aborted) return
    if (this.#connection === undefined) {
      this.#opening ??= this.#open().finally(() => {
        this.#opening = undefined
      })
      return this.#opening
    }
    if (this.#settings.clock.monotonic() - this.#heardAt > this.#requestTimeoutMs / 2)
      void this.#ping(this.#connection)
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#opening?.catch(() => undefined)
    await this.#connection?.close()
    this.#connection = undefined
  }

  async #open(): Promise<void> {
    const connection = await Connection.open(this.#settings, this.#closing.signal)
    try {
      connection.client.on('messageBuffer', (channel: Buffer, payload: Buffer) => {
        this.#heardAt = this.#settings.clock.monotonic()
        const name = channel.toString()
        for (const listener of this.#channels.get(name) ?? []) listener.payload(payload, name)
      })
      if (this.#channels.size > 0) await this.#subscribe(connection, [...this.#channels.keys()])
    } catch (error) {
      await connection.close()
      throw error
    }
    connection.onLost((error) => {
      if (this.#connection !== connection) return
      this.#connection = undefined
      for (const listener of this.#listeners()) listener.lost(error)
    })
    this.#connection = connection
    this.#heardAt = this.#settings.clock.monotonic()
    for (const listener of this.#listeners()) listener.opened()
  }

  async #subscribe({ client }: Connection, channels: readonly string[]): Promise<void> {
    try {
      await client.subscribe(...channels)
    } catch (thrown) {
      throw toRedisError(thrown, `Redis SUBSCRIBE to ${channels.join(', ')} failed`)
    }
  }

  async #ping(connection: Connection): Promise<void> {
    // Not again while this one is under way.
    const { clock } = this.#settings
    this.#heardAt = clock.monotonic()
    const answered = new AbortController()
    const silent = sleep(clock, this.#requestTimeoutMs, answered.signal).then(() => !answered.signal.aborted)
    const pong = (subscriberOf(connection.client) ?? connection.client).ping().then(
      () => false,
      () => true,
    )
    const isSilent = await Promise.race([pong, silent])
    answered.abort()
    if (isSilent && this.#connection === connection) connection.drop()
  }

  #leave(channels: readonly string[], listener: ChannelListener): void {
    for (const channel of channels) {
      const listeners = this.#channels.get(channel)
      if (!listeners?.delete(listener) || listeners.size > 0) continue
      this.#channels.delete(channel)
      // The outcome does not matter: nobody is listening.
      this.#connection?.client.unsubscribe(channel).catch(() => undefined)
    }
  }

  #listeners(): ReadonlySet<ChannelListener> {
    return new Set([...this.#channels.values()].flatMap((listeners) => [...listeners]))
  }
}
