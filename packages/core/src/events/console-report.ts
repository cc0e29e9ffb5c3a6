import { systemClock } from '../lib/clock.ts'
import { errorOf, eventLevels, eventLine } from './event-lines.ts'
import type { Emit } from './events.ts'

// How long the same kind and reason stays quiet, and how many different ones are remembered.
const quietMs = 60_000
const remembered = 200

/**
 * Writes events that report a failure and have no listener to the console, so that none goes unnoticed: each kind and reason
 * once a minute.
 */
export class ConsoleReport {
  readonly #toldAt = new Map<string, number>()

  readonly tell: Emit = (name, event) => {
    const level = eventLevels[name]
    if (level !== 'warn' && level !== 'error') return
    const { text, keys } = eventLine(name, event)
    if (!this.#isNews([name, ...keys].join(' '))) return
    const error = errorOf(event)
    const hint = `Listen with bus.on('${name}', …) to handle it yourself`
    const whole = `[waybill] ${text}. ${hint}`
    try {
      console[level](whole, ...(error === undefined ? [] : [error]))
    } catch {
      // Some errors, or their causes, throw when the console looks at them.
      console[level](whole)
    }
  }

  #isNews(key: string): boolean {
    const now = systemClock.monotonic()
    const toldAt = this.#toldAt.get(key)
    if (toldAt !== undefined && now - toldAt < quietMs) return false
    this.#toldAt.delete(key)
    this.#toldAt.set(key, now)
    const [oldest] = this.#toldAt.size > remembered ? this.#toldAt.keys() : []
    if (oldest !== undefined) this.#toldAt.delete(oldest)
    return true
  }
}
