import { ConfigurationError, type MessagingError, toError } from '@waybill/core/driver'

/** Something failed that no caller can learn from a rejection; it is tried again. */
export interface Failure {
  /** What was being done, such as `cleaning up marks`. */
  readonly what: string
  readonly error: MessagingError
}

export interface FailureEvents {
  readonly failure: Failure
}

type Listener<Event> = (event: Event) => void

/** Typed events. A listener that throws is told as a process warning, and so is a failure that nobody listens to, once. */
export class Emitter<Events extends FailureEvents> {
  readonly #names: readonly (keyof Events)[]
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>()
  readonly #warned = new Set<string>()

  constructor(names: readonly (keyof Events)[]) {
    this.#names = names
  }

  /** @throws {ConfigurationError} when there is no such event, or the listener is no function. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    const path = String(name)
    if (!this.#names.includes(name)) {
      const message = `there is no such event; there are ${this.#names.join(', ')}`
      throw new ConfigurationError('listener', [{ path, message }])
    }
    if (typeof listener !== 'function')
      throw new ConfigurationError('listener', [{ path, message: 'expected a function' }])
    const listeners = this.#listeners.get(name) ?? new Set()
    listeners.add(listener)
    this.#listeners.set(name, listeners)
  }

  off<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): void {
    this.#listeners.get(name)?.delete(listener)
  }

  hasListener(name: keyof Events): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        const result: unknown = Reflect.apply(listener, undefined, [event])
        if (result instanceof Promise) result.catch((error: unknown) => warn(name, error))
      } catch (error) {
        warn(name, error)
      }
    }
  }

  fail(what: string, error: MessagingError): void {
    const failure: Events['failure'] & Failure = { what, error }
    if (this.hasListener('failure')) {
      this.emit('failure', failure)
      return
    }
    const text = `Failed, and is tried again: ${what}: ${error.message}`
    if (this.#warned.has(text) || this.#warned.size > 100) return
    this.#warned.add(text)
    process.emitWarning(text, 'WaybillWarning')
  }
}

function warn(name: PropertyKey, thrown: unknown): void {
  process.emitWarning(`A listener of "${String(name)}" threw: ${toError(thrown).message}`, 'WaybillWarning')
}
