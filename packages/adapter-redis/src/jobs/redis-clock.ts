import { type Clock, systemClock } from '@waybill/core/driver'
import type { SharedConnection } from '../connection/shared-connection.ts'
import { asArray, asNumber } from '../wire/reply.ts'

const askEveryMs = 60_000

/** The clock of the server, so that all processes agree on moments. It is asked once a minute. */
export class RedisClock implements Clock {
  readonly #connection: SharedConnection
  #epochMs: number | undefined
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(connection: SharedConnection) {
    this.#connection = connection
  }

  /** To be awaited before `now` is used. */
  async ready(): Promise<void> {
    if (this.monotonic() - this.#askedAt < askEveryMs) return
    const before = this.monotonic()
    const [seconds, microseconds] = asArray(await this.#connection.call('TIME'))
    const after = this.monotonic()
    this.#askedAt = after
    this.#epochMs = asNumber(seconds) * 1000 + asNumber(microseconds) / 1000 - (before + after) / 2
  }

  now(): number {
    return Math.floor(this.#epochMs === undefined ? systemClock.now() : this.#epochMs + this.monotonic())
  }

  monotonic(): number {
    return systemClock.monotonic()
  }

  after(...parameters: Parameters<Clock['after']>): () => void {
    return systemClock.after(...parameters)
  }
}
