import { type Clock, type DriverContext, MessagingError, toMessagingError } from '@waybill/core/driver'
import { isMemoryFull } from '../errors.ts'
import { parseServerInfo, type ServerInfo } from '../wire/server-info.ts'
import type { SharedConnection } from './shared-connection.ts'

export interface MemoryWatchSettings {
  readonly shared: SharedConnection
  readonly clock: Clock
  readonly emit: DriverContext['emit']
  /** A key of ours that never exists. */
  readonly probeKey: string
}

const lookMs = 30_000
const probeMs = 1000
const warnAbove = 0.9

/**
 * Watches the server's memory. It warns before `noeviction` refuses writes. Once a send of ours was refused, consumers of
 * this connection pause, because their handlers would only fail, until the server takes writes again.
 */
export class MemoryWatch {
  readonly #settings: MemoryWatchSettings
  #lookAt: number
  #isWarned = false
  #refusal: MessagingError | undefined
  #probeAt = 0

  constructor(settings: MemoryWatchSettings) {
    this.#settings = settings
    this.#lookAt = settings.clock.monotonic() + lookMs
  }

  /** A send failed for want of memory. */
  refused(error: MessagingError): void {
    const { clock, emit } = this.#settings
    this.#probeAt = clock.monotonic() + probeMs
    if (this.#refusal !== undefined) return
    this.#refusal = new MessagingError(
      'throttled',
      `Redis is out of memory, so consuming is paused: ${error.message}`,
      {
        retryable: true,
        cause: error,
      },
    )
    emit({ type: 'blocked', reason: error.message })
  }

  /** A send went through. */
  accepted(): void {
    if (this.#refusal === undefined) return
    this.#refusal = undefined
    this.#settings.emit({ type: 'unblocked' })
  }

  /**
   * Undefined when there is nothing to wait for. Rejects while the server refuses writes.
   *
   * @throws {MessagingError} `throttled`
   */
  pass(): Promise<void> | undefined {
    const { clock } = this.#settings
    if (this.#refusal !== undefined) return this.#probe(this.#refusal)
    if (clock.monotonic() < this.#lookAt) return undefined
    this.#lookAt = clock.monotonic() + lookMs
    // In the background and without failing anything: INFO may not be allowed.
    void this.#look().catch(() => undefined)
    return undefined
  }

  async #probe(refusal: MessagingError): Promise<void> {
    const { shared, clock, probeKey } = this.#settings
    if (clock.monotonic() < this.#probeAt) throw refusal
    this.#probeAt = clock.monotonic() + probeMs
    try {
      // Refused when memory is full, and without effect when it is not.
      await shared.call('XADD', probeKey, 'NOMKSTREAM', '*', 'probe', '')
    } catch (thrown) {
      if (isMemoryFull(thrown)) throw refusal
      throw toMessagingError(thrown, 'Asking for memory failed')
    }
    this.accepted()
  }

  async #look(): Promise<void> {
    this.warn(parseServerInfo(await this.#settings.shared.call('INFO', 'memory')))
  }

  /** Once, until there is room again. */
  warn({ usedMemory, maxMemory }: Pick<ServerInfo, 'usedMemory' | 'maxMemory'>): void {
    const { emit } = this.#settings
    const share = usedMemory !== undefined && maxMemory ? usedMemory / maxMemory : 0
    if (share < warnAbove) this.#isWarned = false
    if (share < warnAbove || this.#isWarned) return
    this.#isWarned = true
    emit({
      type: 'warning',
      message: `Redis uses ${Math.round(100 * share)} % of its memory; when it is full, sends are refused. stats().native shows what topics, dead letters and deduplication take`,
    })
  }
}
