import { type Clock, systemClock } from '../lib/clock.ts'

const askEveryMs = 60_000

/**
 * The clock of a server, so that all processes that use it agree on moments. It is asked once a minute; durations and timers
 * are this process's own.
 *
 * @example
 * const clock = new ServerClock(async () => millisecondsOf(await connection.call('TIME')))
 * await clock.ready()
 * const now = clock.now()
 */
export class ServerClock implements Clock {
  readonly #ask: () => Promise<number>
  #epochMs: number | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

  /** `ask`: what the server's clock shows, in milliseconds since 1970. */
  constructor(ask: () => Promise<number>) {
    this.#ask = ask
  }

  /** To be awaited before `now` is used. */
  async ready(): Promise<void> {
    if (this.monotonic() - this.#askedAt < askEveryMs) return
    this.#asking ??= this.#askNow().finally(() => {
      this.#asking = undefined
    })
    await this.#asking
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

  async #askNow(): Promise<void> {
    const before = this.monotonic()
    const time = await this.#ask()
    const after = this.monotonic()
    this.#askedAt = after
    this.#epochMs = time - (before + after) / 2
  }
}
