import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'

export interface LoopWatchSettings {
  readonly clock: Clock
  readonly emit: Emit
  readonly topic: string
  readonly group: string
  /** How many deliveries are in hand. */
  readonly inHand: () => number
}

const everyMs = 1000

/** How late a timer may be before it is told. */
const blockedMs = 2000

/** Tells when the event loop stood still while deliveries were in hand: leases and heartbeats may have run out meanwhile. */
export class LoopWatch {
  readonly #settings: LoopWatchSettings
  #cancel: (() => void) | undefined

  constructor(settings: LoopWatchSettings) {
    this.#settings = settings
  }

  /** Watches for as long as anything is in hand. */
  start(): void {
    const { clock, inHand } = this.#settings
    if (this.#cancel !== undefined) return
    const held = inHand()
    const due = clock.monotonic() + everyMs
    const look = () => {
      this.#cancel = undefined
      const lateMs = clock.monotonic() - due
      if (lateMs >= blockedMs) this.#tell(lateMs, Math.max(held, inHand()))
      if (inHand() > 0) this.start()
    }
    this.#cancel = clock.after(everyMs, look, { background: true })
  }

  close(): void {
    this.#cancel?.()
  }

  #tell(lateMs: number, held: number): void {
    const { emit, topic, group } = this.#settings
    const what = `The event loop stood still for at least ${(lateMs / 1000).toFixed(1)} s`
    const where = `with deliveries of topic ${topic}, group ${group}, in hand (${held})`
    const why = 'leases and heartbeats that run out meanwhile lose them'
    emit('warning', { message: `${what} ${where}; ${why}. Compute in a worker thread, or in smaller steps` })
  }
}
