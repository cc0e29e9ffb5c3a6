/** When a schedule runs, as it is stored; moments and intervals in milliseconds. */
export interface StoredTimes {
  readonly cron?: string | undefined
  readonly timeZone?: string | undefined
  readonly everyMs?: number | undefined
  readonly at?: number | undefined
  readonly missed: 'skip' | 'once' | 'all'
}

/** A schedule in a store. Moments are milliseconds since 1970. */
export interface ScheduleRow {
  readonly id: string
  /** When it runs next; undefined: never, or not before it is resumed. */
  readonly nextAt: number | undefined
  readonly details: ScheduleDetails
}

export interface ScheduleDetails {
  readonly times: StoredTimes
  /** What intervals are counted from. */
  readonly anchor: number
  readonly isPaused: boolean
  readonly lastAt?: number | undefined
  /** What each run is. */
  readonly job: {
    readonly queue: string
    readonly name: string
    readonly data: string | undefined
    readonly priority: number
    readonly attempts: number
    readonly keepMs: { readonly completed: number; readonly failed: number }
  }
}

/** A schedule as applications see it. */
export interface ScheduleSnapshot {
  readonly id: string
  /** Of the job, or the type of the message. */
  readonly name: string
  readonly data: unknown
  readonly cron: string | undefined
  readonly timeZone: string | undefined
  readonly everyMs: number | undefined
  readonly at: Date | undefined
  readonly missed: 'skip' | 'once' | 'all'
  readonly isPaused: boolean
  /** The run that was made last; undefined before the first. */
  readonly lastAt: Date | undefined
  /** Undefined: it is paused, or has no further run. */
  readonly nextAt: Date | undefined
}

export function snapshotOfSchedule({ id, nextAt, details }: ScheduleRow): ScheduleSnapshot {
  const { times, isPaused, lastAt, job } = details
  return {
    id,
    name: job.name,
    data: job.data === undefined ? undefined : JSON.parse(job.data),
    cron: times.cron,
    timeZone: times.timeZone,
    everyMs: times.everyMs,
    at: dateOf(times.at),
    missed: times.missed,
    isPaused,
    lastAt: dateOf(lastAt),
    nextAt: dateOf(nextAt),
  }
}

function dateOf(moment: number | undefined): Date | undefined {
  return moment === undefined ? undefined : new Date(moment)
}
