import { type Bus, type BusListeners, type Message, MessagingError } from '@waybill/core'
import type { BridgeCounts } from './counts.ts'
import type { BridgeEvent, BridgeListeners } from './options.ts'

// Warnings that repeat are given once; texts that differ each time must not add up.
const mostRemembered = 100

/** Tells what becomes of messages, and what fails. */
export class Reporter {
  readonly #listeners: BridgeListeners
  readonly #warned = new Set<string>()

  constructor(listeners: BridgeListeners) {
    this.#listeners = listeners
  }

  tell(what: 'moved' | 'looped', event: BridgeEvent): void {
    this.#call(() => this.#listeners[what]?.(event))
  }

  /** Something that is tried again. */
  failed(what: string, error: MessagingError): void {
    if (this.#listeners.failure === undefined)
      this.#warn(`Failed, and is tried again: ${what}: ${error.message}`)
    else this.#call(() => this.#listeners.failure?.({ what, error }))
  }

  /** The listeners of one side's bus. */
  listeners(side: 'from' | 'to'): BusListeners {
    const where = side === 'from' ? 'source' : 'target'
    const told = (what: string, text: string) =>
      this.failed(`${what} (${where})`, new MessagingError('failed', text, { retryable: true }))
    return {
      failure: ({ what, error }) => this.failed(`${what} (${where})`, error),
      disconnected: ({ error }) => this.failed(`connection (${where})`, error),
      blocked: ({ reason }) => told('sending', reason),
      warning: ({ message }) => told('warning', message),
    }
  }

  /** Counts and tells what the source says of messages that ended without being moved. */
  watch(
    from: Bus,
    lanes: readonly { readonly from: { readonly name: string }; readonly counts: BridgeCounts }[],
  ): void {
    const countsOf = (topic: string) => lanes.find((lane) => lane.from.name === topic)?.counts
    from.on('deadLettered', ({ topic, message, error }) => {
      const counts = countsOf(topic)
      if (counts !== undefined) counts.refused += 1
      if (this.#listeners.refused === undefined)
        this.#warn(`Message ${nameOf(message)} of topic ${topic} is in the dead letters: ${error?.message}`)
      else this.#call(() => this.#listeners.refused?.({ topic, message, error }))
    })
    from.on('expired', ({ topic, message }) => {
      const counts = countsOf(topic)
      if (counts !== undefined) counts.expired += 1
      this.#call(() => this.#listeners.expired?.({ topic, message }))
    })
  }

  #call(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#warn(`A listener of the bridge threw: ${error instanceof Error ? error.message : error}`)
    }
  }

  #warn(text: string): void {
    if (this.#warned.has(text) || this.#warned.size >= mostRemembered) return
    this.#warned.add(text)
    process.emitWarning(text, 'WaybillWarning')
  }
}

function nameOf(message: Pick<Message, 'id' | 'type'> | undefined): string {
  return message === undefined ? 'without a name' : `${message.type} ${message.id}`
}
