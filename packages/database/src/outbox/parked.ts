import type { Host } from '../host.ts'

/** A message that the broker refused for good. */
export interface ParkedMessage {
  /** Of its row; what `retry` and `discard` take. */
  readonly position: string
  readonly topic: string
  readonly type: string
  readonly id: string
  readonly key: string | undefined
  readonly storedAt: Date
  /** How often it was tried. */
  readonly tries: number
  readonly error: string
}

export interface ParkedPage {
  /** At most so many; 1 to 1000. Default: 100. */
  readonly limit?: number
  /** After this position. */
  readonly after?: string
}

interface Row {
  readonly position: number | string
  readonly topic: string
  readonly type: string
  readonly id: string
  readonly key: string | null
  readonly stored: number
  readonly tries: number
  readonly error: string | null
}

/** Positions, or `all`: those that are parked now. */
export type ParkedSelection = readonly string[] | 'all'

export async function listParked(
  host: Host,
  { limit = 100, after = '0' }: ParkedPage,
): Promise<readonly ParkedMessage[]> {
  const { table, epochMs } = host.dialect
  const rows = await host.query<Row>(
    `SELECT position, topic, type, id, key, ${epochMs('stored_at')} AS stored, tries, error FROM ${table('outbox')}
WHERE state = 'parked' AND position > $1 ORDER BY position LIMIT $2`,
    [after, limit],
  )
  return rows.map(({ position, key, stored, error, ...rest }) => ({
    ...rest,
    position: String(position),
    key: key ?? undefined,
    storedAt: new Date(stored),
    error: error ?? '',
  }))
}

export async function retryParked(host: Host, selection: ParkedSelection): Promise<number> {
  const { clause, parameters } = selected(host, selection)
  const rows = await host.query(
    `UPDATE ${host.dialect.table('outbox')} SET state = 'waiting', tries = 0, error = NULL WHERE ${clause} RETURNING position`,
    parameters,
  )
  if (rows.length > 0) host.wake()
  return rows.length
}

export async function discardParked(host: Host, selection: ParkedSelection): Promise<number> {
  const { clause, parameters } = selected(host, selection)
  const rows = await host.query(
    `DELETE FROM ${host.dialect.table('outbox')} WHERE ${clause} RETURNING position`,
    parameters,
  )
  return rows.length
}

function selected({ dialect }: Host, selection: ParkedSelection) {
  const clause = `state = 'parked'`
  if (selection === 'all') return { clause, parameters: [] }
  return {
    clause: `${clause} AND ${dialect.isIn('position', '$1', 'bigint')}`,
    parameters: [selection.map(Number)],
  }
}
