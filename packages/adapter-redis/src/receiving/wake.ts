import { type Clock, type DriverContext, type MessagingError, toMessagingError } from '@waybill/core/driver'
import { Change } from '@waybill/core/driver-kit'
import type { ListeningConnection } from '../connection/listening-connection.ts'
import { parseWakeUp } from '../wire/wake-up.ts'

export interface WakeSettings {
  readonly listening: ListeningConnection
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  readonly channels: readonly string[]
  /**
   * A channel of what comes back to the group. The server tells its listeners in the same order each time, and who is
   * first would get everything, also what it gave back for others; so each waits for a moment of its own.
   */
  readonly shuffled?: string
  /** Whether what is added to a line concerns us. */
  readonly concerns: (line: number) => boolean
  /** Something is due in so many milliseconds. */
  readonly onDue: (inMs: number) => void
  /** A member came or went, or something may have been missed. */
  readonly onChange: () => void
}

/** What a subscription waits on while there is nothing to read: notifications, or the next time that it must look itself. */
export class Wake {
  readonly #settings: WakeSettings
  readonly #change = new Change()
  #isSet = true
  #end: (() => void) | undefined
  #isRefused = false

  constructor(settings: WakeSettings) {
    this.#settings = settings
  }

  /** Best effort: without notifications, a subscription finds out by polling. */
  async listen(): Promise<void> {
    const { listening, channels, emit } = this.#settings
    try {
      this.#end = await listening.listen(channels, {
        payload: (payload, channel) => this.#hear(payload.toString('latin1'), channel),
        opened: () => this.#look(),
        lost: () => this.#look(),
      })
    } catch (thrown) {
      const error = toMessagingError(thrown, 'Listening failed')
      if (error.retryable) throw error
      this.#isRefused = true
      emit({ type: 'warning', message: unheard(error) })
    }
  }

  /** There may be something to read. */
  set(): void {
    this.#isSet = true
    this.#change.notify()
  }

  /** Whether there may be something to read since this was asked last. */
  take(): boolean {
    const isSet = this.#isSet
    this.#isSet = false
    return isSet
  }

  /** Until something happens, the time is over, or the signal fires. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const { listening, clock } = this.#settings
    // While the connection is lost we look ourselves; one attempt each time we are about to wait.
    if (!this.#isRefused) listening.ensure().catch(() => undefined)
    if (this.#isSet || ms <= 0) return
    const over = new AbortController()
    const cancel = clock.after(ms, () => over.abort())
    await this.#change.next(AbortSignal.any([signal, over.signal]))
    cancel()
  }

  /** Lets who waits look again, without saying that there is something to read. */
  notify(): void {
    this.#change.notify()
  }

  close(): void {
    this.#end?.()
  }

  #look(): void {
    this.#settings.onChange()
    this.set()
  }

  #hear(payload: string, channel: string): void {
    const { concerns, onDue, onChange, shuffled, clock } = this.#settings
    const wakeUp = parseWakeUp(payload)
    if (wakeUp.kind === 'due') onDue(wakeUp.inMs)
    else if (wakeUp.kind === 'members') onChange()
    else if (!wakeUp.lines.some(concerns)) return
    else if (channel === shuffled) {
      clock.after(Math.random() * mostShuffledMs, () => this.set(), { background: true })
      return
    } else this.#isSet = true
    this.#change.notify()
  }
}

const mostShuffledMs = 10

function unheard(error: MessagingError): string {
  return `Notifications do not arrive, so consumers look for messages every \`pollInterval\`: ${error.message}`
}
