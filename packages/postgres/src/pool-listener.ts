import { MessagingError } from '@waybill/core/driver'
import type { PostgresClient, PostgresPool } from './clients.ts'

interface ChannelListener {
  readonly channel: string
  readonly onNotification: () => void
  readonly onLost: (error: Error) => void
}

const listening = new WeakMap<PostgresPool, PoolListener>()

/**
 * Listens by the one connection of the pool that does so for everybody: were each to keep one of its own, a few databases over a small
 * pool would leave none to work with. It is given back once nobody listens. The result ends it; `onLost`: there will be no more
 * notifications, and some may have been missed.
 */
export async function listenBy(pool: PostgresPool, listener: ChannelListener): Promise<() => void> {
  let shared = listening.get(pool)
  if (shared === undefined || shared.isOver) {
    shared = new PoolListener(pool.connect())
    listening.set(pool, shared)
  }
  return await shared.listen(listener)
}

/** A connection that listens until it is lost, or nobody needs it. */
class PoolListener {
  readonly #opening: Promise<PostgresClient>
  readonly #listeners = new Set<ChannelListener>()
  #last: Promise<unknown> = Promise.resolve()
  isOver = false

  constructor(opening: Promise<PostgresClient>) {
    this.#opening = opening.then(
      (client) => this.#opened(client),
      (error: unknown) => {
        this.isOver = true
        throw error
      },
    )
  }

  async listen(listener: ChannelListener): Promise<() => void> {
    this.#listeners.add(listener)
    try {
      await this.#ask(`LISTEN "${listener.channel}"`)
      if (this.isOver)
        throw new MessagingError('disconnected', 'The connection was lost', { retryable: true })
    } catch (error) {
      this.#leave(listener)
      throw error
    }
    return () => this.#leave(listener)
  }

  /** One after the other, as clients are to be asked. */
  #ask(sql: string): Promise<unknown> {
    const asked = this.#last.then(async () => await (await this.#opening).query(sql))
    this.#last = asked.catch(() => {})
    return asked
  }

  #opened(client: PostgresClient): PostgresClient {
    client.on('notification', this.#told)
    client.on('error', this.#lost)
    client.on('end', this.#lost)
    return client
  }

  readonly #told = (notification?: unknown) => {
    const channel: unknown = Object(notification).channel
    for (const each of this.#listeners) if (each.channel === channel) each.onNotification()
  }

  readonly #lost = (error?: unknown) => {
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    this.#end()
    const loss = error instanceof Error ? error : new Error('the connection was closed')
    for (const { onLost } of listeners) onLost(loss)
  }

  #leave(listener: ChannelListener): void {
    if (!this.#listeners.delete(listener)) return
    if (this.#listeners.size === 0) this.#end()
  }

  #end(): void {
    if (this.isOver) return
    this.isOver = true
    const giveBack = (client: PostgresClient) => {
      client.removeListener('notification', this.#told)
      client.release(true)
    }
    this.#opening.then(giveBack, () => {})
  }
}
