import { setImmediate } from 'node:timers'
import type { Clock } from './clock.ts'
import { type Duration, toMilliseconds } from './duration.ts'

export interface VirtualClock extends Clock {
  /**
   * Moves time on, running every timer that falls due on the way at its own time, and lets promises settle in between,
   * so that an hour of backoff takes milliseconds.
   */
  advance(duration: Duration): Promise<void>
  /** Sets the wall clock back or forward by so many milliseconds, as an operator or NTP does. Timers stay as they are. */
  setBy(milliseconds: number): void
}

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** Lets everything that only waits for promises and for the event loop go on. */
export async function settle(): Promise<void> {
  // A chain of awaits across a few turns of the event loop: handlers, settlements, the next receive.
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** A clock that stands still until it is told to move. Starts at 2026-01-01 unless told otherwise. */
export function virtualClock(startMs: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let elapsed = 0
  let epoch = startMs
  const timers = new Set<Timer>()

  function nextUntil(end: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of timers)
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    return next
  }

  return {
    now: () => epoch + elapsed,
    monotonic: () => elapsed,
    after(delayMs, callback) {
      const timer = { at: elapsed + Math.max(0, delayMs), callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(duration) {
      const end = elapsed + toMilliseconds(duration)
      await settle()
      for (let timer = nextUntil(end); timer !== undefined; timer = nextUntil(end)) {
        elapsed = Math.max(elapsed, timer.at)
        timers.delete(timer)
        timer.callback()
        await settle()
      }
      elapsed = end
    },
    setBy(milliseconds) {
      epoch += milliseconds
    },
  }
}
