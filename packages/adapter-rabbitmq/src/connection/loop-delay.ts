import { monitorEventLoopDelay } from 'node:perf_hooks'

/** How precisely blocked event loops are measured. The monitor keeps no process alive. */
const resolution = 100

/** The longest time the event loop was blocked since the last call: no heartbeats are sent during it. */
export class LoopDelay {
  readonly #monitor = monitorEventLoopDelay({ resolution })

  constructor() {
    this.#monitor.enable()
  }

  takeLongestMs(): number {
    const longestMs = Math.max(0, Math.round(this.#monitor.max / 1e6) - resolution)
    this.#monitor.reset()
    return longestMs
  }

  close(): void {
    this.#monitor.disable()
  }
}

/** Undefined when a connection was lost for another reason than a blocked event loop. */
export function blockedLoopWarning(blockedMs: number, heartbeatMs: number): string | undefined {
  if (blockedMs < heartbeatMs) return undefined
  return (
    `The event loop was blocked for ${blockedMs} ms, and the connection to RabbitMQ is lost after two heartbeats of ` +
    `${heartbeatMs} ms without a byte. What was handled in the meantime is acknowledged when it is redelivered. Compute in a ` +
    'worker thread, or raise the option heartbeat'
  )
}
