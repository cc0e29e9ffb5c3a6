import { setImmediate } from 'node:timers'
import type { Clock } from './clock.ts'
import { type Duration, toMilliseconds } from './duration.ts'
import { Heap } from './heap.ts'

export interface VirtualClock extends Clock {
  /**
   * Moves time forward. Every timer that falls due on the way runs at its own time, and promises settle in between, so an
   * hour of backoff takes milliseconds.
   *
   * ```ts
   * await clock.advance('1h')
   * ```
   *
   * @throws {ConfigurationError} when it is not a duration.
   */
  advance(duration: Duration): Promise<void>
  /**
   * Sets the wall clock back or forward by so many milliseconds, as an operator or NTP does. Timers are not affected.
   *
   * ```ts
   * clock.setBy(-3_600_000)
   * ```
   */
  setBy(milliseconds: number): void
}

interface Timer {
  readonly at: number
  /** Equal times keep the order they were set in. */
  readonly number: number
  readonly callback: () => void
  /** In the heap. */
  place: number
  cancelled: boolean
}

/** Lets everything continue that waits only for promises and the event loop. */
export async function settle(): Promise<void> {
  // A chain of awaits across a few turns of the event loop: handlers, settlements, the next receive.
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/**
 * A clock that stands still until it is moved. Starts at 2026-01-01 by default; `startMs` is milliseconds since the epoch.
 *
 * ```ts
 * const clock = virtualClock()
 * const bus = await connect({ url: 'memory:', clock })
 * await clock.advance('15m')
 * ```
 */
export function virtualClock(startMs: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let elapsed = 0
  let epoch = startMs
  let timersSet = 0
  const timers = new Heap<Timer>(
    (one, other) => one.at < other.at || (one.at === other.at && one.number < other.number),
    (timer, place) => {
      timer.place = place
    },
  )

  function cancel(timer: Timer): void {
    timer.cancelled = true
    timers.removeAt(timer.place)
  }

  /** Takes out all timers of the next moment until then; they fire together, so that many cost no more than one. */
  function nextUntil(end: number): readonly Timer[] {
    const due: Timer[] = []
    for (let first = timers.first; first !== undefined && first.at <= end; first = timers.first) {
      if (due[0] !== undefined && first.at > due[0].at) break
      timers.take()
      due.push(first)
    }
    return due
  }

  return {
    now: () => epoch + elapsed,
    monotonic: () => elapsed,
    after(delayMs, callback) {
      timersSet += 1
      const at = elapsed + Math.max(0, delayMs)
      const timer: Timer = { at, number: timersSet, callback, place: Heap.nowhere, cancelled: false }
      timers.add(timer)
      return () => cancel(timer)
    },
    async advance(duration) {
      const end = elapsed + toMilliseconds(duration)
      await settle()
      for (let due = nextUntil(end); due[0] !== undefined; due = nextUntil(end)) {
        elapsed = Math.max(elapsed, due[0].at)
        // One may cancel another of its own moment.
        for (const timer of due) {
          if (!timer.cancelled) timer.callback()
        }
        await settle()
      }
      elapsed = end
    },
    setBy(milliseconds) {
      epoch += milliseconds
    },
  }
}
