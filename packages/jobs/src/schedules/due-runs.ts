import type { StoredTimes } from '../schedule.ts'
import { runAfter } from './schedule-spec.ts'

const graceMs = 60_000
const mostAtOnce = 1000

export interface DueRuns {
  /** The moments whose runs are to be made. */
  readonly runs: readonly number[]
  /** The next one that is not; undefined: there is none. */
  readonly next: number | undefined
}

/** What a schedule whose next run was due at `due` is to do now. */
export function dueRuns(times: StoredTimes, due: number, anchor: number, now: number): DueRuns {
  if (due > now) return { runs: [], next: due }
  if (times.missed === 'all') return each(times, due, anchor, now)
  const latest = latestUntil(times, due, anchor, now)
  const next = runAfter(times, now, anchor)
  if (times.missed === 'skip' && now - latest >= graceMs) return { runs: [], next }
  return { runs: [latest], next }
}

function each(times: StoredTimes, due: number, anchor: number, now: number): DueRuns {
  const runs: number[] = []
  let next: number | undefined = due
  while (next !== undefined && next <= now && runs.length < mostAtOnce) {
    runs.push(next)
    next = runAfter(times, next, anchor)
  }
  return { runs, next }
}

/** The last run not after now, without walking through all that were missed. */
function latestUntil(times: StoredTimes, due: number, anchor: number, now: number): number {
  if (times.everyMs !== undefined) return anchor + Math.floor((now - anchor) / times.everyMs) * times.everyMs
  let latest = due
  // Halves the stretch that the last run can be in.
  for (let from = due, to = now; from < to; ) {
    const middle = Math.floor((from + to) / 2)
    const found = runAfter(times, middle, anchor)
    if (found === undefined || found > now) to = middle
    else {
      latest = found
      from = found
    }
    if (to - from < 1000) {
      for (let next = runAfter(times, latest, anchor); next !== undefined && next <= now; ) {
        latest = next
        next = runAfter(times, latest, anchor)
      }
      break
    }
  }
  return latest
}
