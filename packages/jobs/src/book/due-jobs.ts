import type { JobRow, JobRows, Lease } from '../store.ts'

/** Which jobs of a queue are wanted that are due. */
export interface Wanted {
  readonly queue: string
  /** Undefined: of any name. */
  readonly names?: readonly string[] | undefined
  /** How many at most. */
  readonly room: number
  /** How many of the queue may run. Undefined: any number. */
  readonly mostRunning?: number | undefined
  /** Up to how many besides that were sent, and have been taken by nobody for as long as that may last. */
  readonly lost: number
}

/** The same, of some names only. */
export interface NamedWanted extends Wanted {
  readonly names: readonly string[]
}

/** Undefined: the store cannot. */
export async function beginDue(
  rows: JobRows,
  { queue, names, room, lost }: NamedWanted,
  lease: Lease,
): Promise<readonly JobRow[] | undefined> {
  const fresh = room > 0 ? await rows.beginDue?.({ queue, names, isSent: false }, room, lease) : []
  const again = lost > 0 ? await rows.beginDue?.({ queue, names, isSent: true }, lost, lease) : []
  if (fresh === undefined) return undefined
  // What has begun is to be run, even if the others cannot begin in this way.
  if (again === undefined && fresh.length === 0) return undefined
  return sorted([...fresh, ...(again ?? [])])
}

/** In their order; nobody else changes them until the transaction ends. */
export async function dueJobs(
  rows: JobRows,
  { queue, names, room: free, mostRunning, lost }: Wanted,
  withoutData = false,
): Promise<readonly JobRow[]> {
  const room = mostRunning === undefined ? free : Math.min(free, mostRunning - (await rows.running(queue)))
  const fresh = room > 0 ? await rows.toSend({ queue, names, isSent: false }, room) : []
  const again = lost > 0 ? await rows.toSend({ queue, names, isSent: true }, lost) : []
  const found = await rows.lock([...new Set([...fresh, ...again])], { withoutData })
  return sorted(found.filter(({ state, sendAt }) => state === 'waiting' && sendAt <= rows.now))
}

/** By priority and time. */
function sorted(jobs: readonly JobRow[]): readonly JobRow[] {
  return jobs.toSorted(
    (one, other) => other.priority - one.priority || one.sendAt - other.sendAt || one.ordinal - other.ordinal,
  )
}
