import type { Dialect } from '../dialect.ts'
import type { Queries } from '../transaction.ts'

export interface OutboxStats {
  /** Messages that were not sent yet, delayed ones included. */
  readonly waiting: number
  /** Messages that were set aside. */
  readonly parked: number
  /** How long the oldest message waits that is due, in milliseconds; 0 if none does. */
  readonly oldestAgeMs: number
}

export async function outboxStats(dialect: Dialect, database: Queries): Promise<OutboxStats> {
  const { table, now, epochMs } = dialect
  const [row] = await database.query<Record<'waiting' | 'parked' | 'oldest', number | string | null>>(
    `SELECT count(CASE WHEN state = 'waiting' THEN 1 END) AS waiting,
  count(CASE WHEN state = 'parked' THEN 1 END) AS parked,
  max(CASE WHEN state = 'waiting' AND (due_at IS NULL OR due_at <= ${now}) THEN ${epochMs(now)} - ${epochMs('coalesce(due_at, stored_at)')} END) AS oldest
FROM ${table('outbox')}`,
  )
  return {
    waiting: Number(row?.waiting ?? 0),
    parked: Number(row?.parked ?? 0),
    oldestAgeMs: Math.max(0, Math.round(Number(row?.oldest ?? 0))),
  }
}
