import { type Clock, systemClock } from '@waybill/core/driver'
import type { ListeningConnection } from '../connection/listening-connection.ts'

const retryMs = 1000

/**
 * Tells when another process may have changed something. Best effort: a connection that is lost is opened again, and whoever relies on
 * changes looks from time to time as well.
 */
export class ChangeNotices {
  readonly #listening: ListeningConnection
  readonly #channel: string
  readonly #clock: Clock = systemClock
  readonly #listeners = new Set<() => void>()
  #end: (() => void) | undefined
  #cancelRetry: (() => void) | undefined
  #isClosed = false

  constructor(listening: ListeningConnection, channel: string) {
    this.#listening = listening
    this.#channel = channel
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    void this.#begin()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stop()
    }
  }

  close(): void {
    this.#isClosed = true
    this.#stop()
  }

  async #begin(): Promise<void> {
    if (this.#end !== undefined || this.#isClosed) return
    this.#end = () => {}
    const tell = () => {
      for (const listener of this.#listeners) listener()
    }
    try {
      const opened = () => tell()
      const end = await this.#listening.listen([this.#channel], {
        payload: tell,
        opened,
        lost: () => this.#later(),
      })
      if (this.#isClosed || this.#listeners.size === 0) end()
      else this.#end = end
    } catch {
      // Nothing is lost by it: those who wait look themselves.
      this.#end = undefined
      this.#later()
    }
  }

  #later(): void {
    this.#cancelRetry?.()
    if (this.#isClosed || this.#listeners.size === 0) return
    const again = () => {
      if (this.#end === undefined) void this.#begin()
      else this.#listening.ensure().catch(() => this.#later())
    }
    this.#cancelRetry = this.#clock.after(retryMs, again, { background: true })
  }

  #stop(): void {
    this.#cancelRetry?.()
    this.#end?.()
    this.#end = undefined
  }
}
