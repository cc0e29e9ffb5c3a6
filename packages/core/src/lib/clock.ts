/** Time as core and the drivers see it, so that tests can use a virtual clock. */
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

// Node counts whole milliseconds, so its timers fire up to one of them early by the clock that deadlines are read from. More
// than this is a timer that a test runner has moved on.
const mostEarlyMs = 2

// Captured when this module is loaded. If a test runner faked some of them later, a bus would have timers that stand still
// and a clock that goes on. So it keeps all of those it was loaded with.
const { setTimeout, clearTimeout } = globalThis
const { now } = Date
const monotonic = performance.now.bind(performance)

/**
 * The process's own clock; the default of `connect`. Times in milliseconds.
 *
 * @example
 * const cancel = systemClock.after(5000, () => giveUp())
 */
export const systemClock: Clock = {
  now,
  monotonic,
  after(delayMs, callback, options) {
    const due = monotonic() + delayMs
    let timer: NodeJS.Timeout
    const arm = (remainingMs: number) => {
      const step = Math.min(remainingMs, longestTimeoutMs)
      timer = setTimeout(() => (remainingMs > step ? arm(remainingMs - step) : onTimer()), step)
      if (options?.background) timer.unref()
    }
    const onTimer = () => {
      const earlyMs = due - monotonic()
      if (earlyMs > 0 && earlyMs <= mostEarlyMs) arm(earlyMs)
      else callback()
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}

/**
 * Resolves after `delayMs`, or as soon as the signal fires. Never rejects.
 *
 * @example
 * await sleep(context.clock, 250, signal)
 */
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
