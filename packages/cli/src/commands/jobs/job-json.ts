import type { JobSnapshot, ScheduleSnapshot } from '@waybill/jobs'

/** A job as `jobs list` prints it: all but data, result and what happened. */
export function jobToJson(job: JobSnapshot) {
  return {
    id: job.id,
    name: job.name,
    queue: job.queue,
    state: job.state,
    priority: job.priority,
    attempt: job.attempt,
    attempts: job.attempts,
    progress: job.progress ?? null,
    error: job.error ?? null,
    parent: job.parent ?? null,
    dueAt: job.dueAt.toISOString(),
    createdAt: job.createdAt.toISOString(),
    updatedAt: job.updatedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}

/** A job as `jobs show` prints it. */
export function wholeJobToJson(job: JobSnapshot) {
  return {
    ...jobToJson(job),
    data: job.data ?? null,
    output: job.output ?? null,
    history: job.history.map(({ startedAt, endedAt, error, ...attempt }) => ({
      ...attempt,
      startedAt: startedAt.toISOString(),
      endedAt: endedAt.toISOString(),
      error: error ?? null,
    })),
    log: job.log.map(({ at, text }) => ({ at: at.toISOString(), text })),
  }
}

export function scheduleToJson(schedule: ScheduleSnapshot) {
  return {
    id: schedule.id,
    name: schedule.name,
    cron: schedule.cron ?? null,
    timeZone: schedule.timeZone ?? null,
    everyMs: schedule.everyMs ?? null,
    at: schedule.at?.toISOString() ?? null,
    missed: schedule.missed,
    isPaused: schedule.isPaused,
    lastAt: schedule.lastAt?.toISOString() ?? null,
    nextAt: schedule.nextAt?.toISOString() ?? null,
    data: schedule.data ?? null,
  }
}
