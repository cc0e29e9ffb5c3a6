import type { Bus, MessageDefinition } from '@waybill/core'
import type { Numbered } from '../fixtures/numbered.ts'

const pauseMs = 20

/**
 * How long a message takes that waits for nothing, measured over and over beside a case. A busy machine makes it slow, a
 * late retry or delay does not: so a case can tell the one from the other.
 */
export class Pulse {
  #slowestMs = 0
  #sentAt: number | undefined
  #arrived: () => void = () => undefined
  #running = true
  #ended: Promise<void> = Promise.resolve()

  static async start(
    bus: Bus,
    definition: MessageDefinition<Numbered, Numbered>,
    group: string,
  ): Promise<Pulse> {
    const pulse = new Pulse()
    await bus
      .consumer(group)
      .on(definition, () => pulse.#arrived())
      .start()
    pulse.#ended = pulse.#beat(async (n) => {
      await bus.producer().send(definition, { n })
    })
    // `stop` tells.
    pulse.#ended.catch(() => undefined)
    return pulse
  }

  /** In milliseconds; a message that is still on its way counts too. */
  get slowestMs(): number {
    const pendingMs = this.#sentAt === undefined ? 0 : performance.now() - this.#sentAt
    return Math.max(this.#slowestMs, pendingMs)
  }

  /** Rejects when a send has. */
  async stop(): Promise<void> {
    this.#running = false
    this.#arrived()
    await this.#ended
  }

  async #beat(send: (n: number) => Promise<void>): Promise<void> {
    for (let n = 0; this.#running; n += 1) {
      const arrival = new Promise<void>((resolve) => {
        this.#arrived = resolve
      })
      this.#sentAt = performance.now()
      await send(n)
      await arrival
      this.#slowestMs = this.slowestMs
      this.#sentAt = undefined
      await new Promise((resolve) => {
        setTimeout(resolve, pauseMs)
      })
    }
  }
}
