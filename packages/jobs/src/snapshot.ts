import type { JobSnapshot } from './job.ts'
import type { JobRow } from './store.ts'

/** A row as applications see it, at a moment. */
export function snapshotOf(row: JobRow, now: number): JobSnapshot {
  const { details } = row
  return {
    id: row.id,
    name: row.name,
    queue: row.queue,
    state: row.state === 'waiting' && row.dueAt > now ? 'delayed' : row.state,
    data: parsed(row.data),
    output: parsed(row.output),
    progress: parsed(row.progress),
    priority: row.priority,
    attempt: row.attempt,
    attempts: details.attempts,
    error: row.state === 'failed' || row.state === 'waiting' ? details.error : undefined,
    history: details.history.map(({ startedAt, endedAt, error, ...rest }) => ({
      ...rest,
      startedAt: new Date(startedAt),
      endedAt: new Date(endedAt),
      ...(error !== undefined && { error }),
    })),
    log: details.log.map(({ at, text }) => ({ at: new Date(at), text })),
    dueAt: new Date(row.dueAt),
    createdAt: new Date(row.createdAt),
    updatedAt: new Date(row.updatedAt),
    finishedAt: row.finishedAt === undefined ? undefined : new Date(row.finishedAt),
    parent: row.parent,
    version: row.version,
  }
}

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text)
}
