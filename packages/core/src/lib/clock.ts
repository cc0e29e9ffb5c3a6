/** Time as core and the memory driver see it, so that tests can put a virtual clock in its place. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Calls back once after `delayMs`; the result cancels it. Timers do not keep the process alive if `background`. */
  after(delayMs: number, callback: () => void, options?: { readonly background?: boolean }): () => void
}

// The longest delay setTimeout takes (2^31 - 1 ms); above it Node fires at once (Node.js documentation, "Timers").
const longestTimeoutMs = 2_147_483_647

export const systemClock: Clock = {
  now: Date.now,
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
