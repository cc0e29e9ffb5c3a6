import type { Host } from '../host.ts'

/** A row of the outbox as a relay reads it. */
export interface WaitingRow {
  readonly position: string
  readonly slot: number
  readonly topic: string
  readonly type: string
  readonly version: number
  readonly id: string
  readonly key: string | null
  readonly source: string
  readonly data: string | null
  readonly data_bytes: Uint8Array | null
  readonly options: string | null
  readonly topic_options: string | null
  /** Milliseconds since 1970. */
  readonly sent: number
  readonly due: number | null
  readonly expires: number | null
  /** By the database's clock. */
  readonly delay: number | null
  readonly remaining: number | null
  /** Of its data. */
  readonly bytes: number | string
}

export interface ReadLimits {
  readonly slots: readonly number[]
  readonly max: number
  /** Messages that are due later stay. */
  readonly maxDelayMs: number
  readonly heldKeys: readonly string[]
  readonly heldTopics: readonly string[]
}

// A hundred years: what a broker without a limit is asked for at most.
const longestMs = 100 * 365 * 86_400_000

const columns =
  'position, slot, topic, type, version, id, key, source, data, data_bytes, options, topic_options, sent_at, due_at, expires_at'

// Of the data that is read at once, unless a single message has more.
const maxBytes = 16 * 1024 * 1024

// What is read of a slot at least, so that one that has everything is not read in crumbs.
const leastOfSlot = 32

/** What was read; `mayHaveMore` if there may be more that could be read at once. */
export interface Waiting {
  readonly rows: readonly WaitingRow[]
  readonly mayHaveMore: boolean
}

/** The name under which a message, and later ones of its key, are held. Topics have no slash in their names. */
export function holdName({ topic, key, position }: Pick<WaitingRow, 'topic' | 'key' | 'position'>): string {
  return key === null ? `${topic}/#${position}` : `${topic}/=${key}`
}

/** The table of the outbox, as relays use it. */
export class Queue {
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  /**
   * The oldest of each slot that may be sent, in their order. Reads rows, not a position: what commits late is found late. Each
   * slot is read by the index for itself, or a long backlog would be sorted for every batch.
   */
  async read({ slots, max, maxDelayMs, heldKeys, heldTopics }: ReadLimits): Promise<Waiting> {
    const { table, now, after, epochMs, isIn } = this.#host.dialect
    const ofSlot = Math.max(leastOfSlot, Math.ceil((4 * max) / slots.length))
    const parameters: unknown[] = [max, ofSlot, Math.min(maxDelayMs, longestMs)]
    const conditions = [`state = 'waiting'`, `(due_at IS NULL OR due_at <= ${after('$3')})`]
    const leaveOut = (value: string, names: readonly string[]) => {
      if (names.length === 0) return
      parameters.push(names)
      conditions.push(`NOT (${isIn(value, `$${parameters.length}`, 'text')})`)
    }
    leaveOut(`topic || '/' || CASE WHEN key IS NULL THEN '#' || position ELSE '=' || key END`, heldKeys)
    leaveOut('topic', heldTopics)
    const parts = slots.map(
      (slot) =>
        `SELECT * FROM (SELECT ${columns} FROM ${table('outbox')} WHERE slot = ${slot} AND ${conditions.join(' AND ')} ORDER BY position LIMIT $2) AS slot_${slot}`,
    )
    const oldest = `SELECT *, coalesce(octet_length(data), octet_length(data_bytes), 0) AS bytes FROM (${parts.join('\nUNION ALL ')}) AS each ORDER BY position LIMIT $1`
    const rows = await this.#host.query<WaitingRow>(
      `SELECT CAST(position AS text) AS position, slot, topic, type, version, id, key, source, data, data_bytes, options, topic_options,
  ${epochMs('sent_at')} AS sent, ${epochMs('due_at')} AS due, ${epochMs('expires_at')} AS expires,
  ${epochMs('due_at')} - ${epochMs(now)} AS delay, ${epochMs('expires_at')} - ${epochMs(now)} AS remaining, bytes
FROM (SELECT *, sum(bytes) OVER (ORDER BY position) - bytes AS bytes_before FROM (${oldest}) AS oldest) AS message
WHERE bytes_before < ${maxBytes} ORDER BY message.position`,
      parameters,
    )
    const bytes = rows.reduce((total, row) => total + Number(row.bytes), 0)
    return { rows, mayHaveMore: rows.length >= Math.min(max, ofSlot) || bytes >= maxBytes }
  }

  async remove(positions: readonly string[]): Promise<void> {
    const { table, isIn } = this.#host.dialect
    await this.#host.query(`DELETE FROM ${table('outbox')} WHERE ${isIn('position', '$1', 'bigint')}`, [
      positions.map(Number),
    ])
  }

  /** Records that a try failed; `state` is that of the message from now on. */
  async failed(positions: readonly string[], state: 'waiting' | 'parked', error: string): Promise<void> {
    const { table, isIn } = this.#host.dialect
    await this.#host.query(
      `UPDATE ${table('outbox')} SET state = $2, tries = tries + 1, error = $3 WHERE ${isIn('position', '$1', 'bigint')} AND state = 'waiting'`,
      [positions.map(Number), state, error.replaceAll('\0', '')],
    )
  }
}
