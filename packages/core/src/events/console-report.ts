import { systemClock } from '../lib/clock.ts'
import { toError } from '../lib/errors.ts'
import type { BusEvents, DeliveryInfo, Emit } from './events.ts'

interface Line {
  readonly level: 'warn' | 'error'
  readonly text: string
  /** What makes it the same as another one: the kind and its reason, not the message. */
  readonly key: string
  readonly error?: Error | undefined
}

type Tellers = { readonly [Name in keyof BusEvents]?: (event: BusEvents[Name][0]) => Line }

function of({ message, topic, group, attempt }: DeliveryInfo): string {
  const what = message === undefined ? 'a message' : `${message.type} ${message.id}`
  return `${what} of topic ${topic} in group ${group}, attempt ${attempt}`
}

function line(level: Line['level'], text: string, keys: readonly string[], error?: Error): Line {
  return { level, text, key: keys.join(' '), error }
}

/** The events that report a failure. */
const tellers: Tellers = {
  disconnected: ({ error }) =>
    line('warn', `The broker is disconnected: ${error.message}`, [error.code], error),
  blocked: ({ reason }) => line('warn', `The broker is blocking publishers: ${reason}`, [reason]),
  warning: ({ message }) => line('warn', message, [message]),
  retried: ({ delayMs, error, ...info }) =>
    line(
      'warn',
      `Handling failed and will be retried in ${delayMs} ms: ${of(info)}`,
      [info.topic, info.group, String(toError(error).message)],
      error,
    ),
  deadLettered: ({ reason, error, ...info }) =>
    line('error', `Dead-lettered (${reason}): ${of(info)}`, [info.topic, info.group, reason], error),
  dropped: ({ reason, error, ...info }) =>
    line('error', `Given up (${reason}): ${of(info)}`, [info.topic, info.group, reason], error),
  lost: (info) =>
    line('warn', `No longer ours while in hand, its outcome is ignored: ${of(info)}`, [
      info.topic,
      info.group,
    ]),
  abandoned: (info) =>
    line('warn', `Still running when stop ran out of time, and given back: ${of(info)}`, [
      info.topic,
      info.group,
    ]),
  stuck: ({ topic, group, running, oldestRunningMs }) =>
    line(
      'error',
      `All ${running} handlers of group ${group} on topic ${topic} are stuck, the oldest for ${oldestRunningMs} ms`,
      [topic, group],
    ),
  breaker: ({ topic, group, types, state, error }) =>
    line(
      'warn',
      `The circuit breaker of ${types} of topic ${topic} in group ${group} is ${state}`,
      [topic, group, types, state],
      error,
    ),
  failure: ({ what, error }) =>
    line('error', `Failed: ${what}: ${error.message}`, [what, error.code, error.message], error),
}

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
    const teller = tellers[name]
    if (teller === undefined) return
    const { level, text, key, error } = teller(event)
    if (!this.#isNews(`${name} ${key}`)) return
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
