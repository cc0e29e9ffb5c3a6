/** Time as core and the drivers see it, so that tests can put a virtual clock in its place. */
export interface Clock {
  /** Milliseconds since the Unix epoch: for timestamps only, since an operator or NTP may set it back or forward. */
  now(): number
  /** Milliseconds since some moment in the past, never set: for durations, deadlines and leases. May have fractions. */
  monotonic(): number
  /** Calls back once after `delayMs`; the result cancels it. Timers do not keep the process alive if `background`. */
  after(delayMs: number, callback: () => void, options?: { readonly background?: boolean }): () => void
}

// The longest delay setTimeout takes (2^31 - 1 ms); above it Node fires at once (Node.js documentation, "Timers").
const longestTimeoutMs = 2_147_483_647

// As they are when this module is loaded. A test runner that fakes some of them later would leave a bus with timers that
// stand still and a clock that goes on; so the bus keeps to the clock it was loaded with, wholly.
const { setTimeout, clearTimeout } = globalThis
const { now } = Date
const monotonic = performance.now.bind(performance)

export const systemClock: Clock = {
  now,
  monotonic,
  after(delayMs, callback, options) {
    let timer: NodeJS.Timeout
    const arm = (remaining: number) => {
      const step = Math.min(remaining, longestTimeoutMs)
      timer = setTimeout(() => (remaining > step ? arm(remaining - step) : callback()), step)
      if (options?.background) timer.unref()
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`, or as soon as the signal fires; it never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}
