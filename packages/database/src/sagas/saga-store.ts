import { MessagingError } from '@waybill/core/driver'
import { z } from 'zod'
import type { Dialect } from '../dialect.ts'
import type { Queries, Transaction } from '../transaction.ts'
import type { SagaEvent, SagaEventKind, SagaRecord, SagaStatus, StepStatus } from './saga-state.ts'
import type { TurnEvent } from './turn.ts'

interface SagaRow {
  readonly id: string
  readonly status: SagaStatus
  readonly step: string | null
  readonly data: string
  readonly progress: string
  readonly reason: string | null
  readonly version: number
  // PostgreSQL's clients give 64-bit numbers as text.
  readonly started_ms: number | string
  readonly updated_ms: number | string
}

interface EventRow {
  readonly kind: SagaEventKind
  readonly step: string | null
  readonly detail: string | null
  readonly message_type: string
  readonly message_id: string
  readonly at_ms: number | string
}

const stepStatus = z.enum(['waiting', 'done', 'refused', 'in-doubt', 'compensating', 'compensated'])

const progressSchema = z.object({
  steps: z.record(z.string(), stepStatus).default({}),
  doubts: z.array(z.string()).default([]),
  timeouts: z.record(z.string(), z.string()).default({}),
})

/** How many fields an event has in the statement that inserts them. */
const eventWidth = 7

export interface SagaListFilter {
  readonly status: SagaStatus | undefined
  /** Only what has not changed for as long. */
  readonly idleMs: number | undefined
  /** Only ids after this one. */
  readonly after: string | undefined
  readonly limit: number
}

/** The sagas of one name in the database. What writes takes the caller's transaction. */
export class SagaStore {
  readonly #saga: string
  readonly #dialect: Dialect
  readonly #sagas: string
  readonly #events: string

  constructor(saga: string, dialect: Dialect) {
    this.#saga = saga
    this.#dialect = dialect
    this.#sagas = dialect.table('sagas')
    this.#events = dialect.table('saga_events')
  }

  async find(transaction: Transaction, id: string): Promise<SagaRecord | undefined> {
    const rows = await transaction.query<SagaRow>(
      `SELECT ${this.#columns} FROM ${this.#sagas} WHERE saga = $1 AND id = $2`,
      [this.#saga, id],
    )
    return rows.map((row) => toRecord(this.#saga, row)).at(0)
  }

  /** False when there is one of this id. */
  async insert(transaction: Transaction, record: SagaRecord): Promise<boolean> {
    const rows = await transaction.query(
      `INSERT INTO ${this.#sagas} (saga, id, status, step, data, progress, reason, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (saga, id) DO NOTHING RETURNING id`,
      [this.#saga, record.id, ...this.#fields(record), record.version],
    )
    return rows.length > 0
  }

  /** False when somebody has changed it since it was read. One that `waitsOn` is as idle as before. */
  async update(
    transaction: Transaction,
    record: SagaRecord,
    { waitsOn }: { readonly waitsOn: boolean },
  ): Promise<boolean> {
    const rows = await transaction.query(
      `UPDATE ${this.#sagas} SET status = $3, step = $4, data = $5, progress = $6, reason = $7,
version = version + 1, updated_at = ${waitsOn ? 'updated_at' : this.#dialect.now}
WHERE saga = $1 AND id = $2 AND version = $8 RETURNING id`,
      [this.#saga, record.id, ...this.#fields(record), record.version],
    )
    return rows.length > 0
  }

  async addEvents(
    transaction: Transaction,
    id: string,
    message: SagaEvent['message'],
    events: readonly TurnEvent[],
  ): Promise<void> {
    if (events.length === 0) return
    const rows = events.map((_, row) => {
      const parameters = Array.from(
        { length: eventWidth },
        (_, column) => `$${row * eventWidth + column + 1}`,
      )
      return `(${parameters.join(', ')})`
    })
    await transaction.query(
      `INSERT INTO ${this.#events} (saga, id, kind, step, detail, message_type, message_id) VALUES ${rows.join(', ')}`,
      events.flatMap(({ kind, step, detail }) => [
        this.#saga,
        id,
        kind,
        step ?? null,
        detail ?? null,
        message.type,
        message.id,
      ]),
    )
  }

  async events(database: Transaction, id: string): Promise<readonly SagaEvent[]> {
    const rows = await database.query<EventRow>(
      `SELECT kind, step, detail, message_type, message_id, ${this.#dialect.epochMs('at')} AS at_ms
FROM ${this.#events} WHERE saga = $1 AND id = $2 ORDER BY position`,
      [this.#saga, id],
    )
    return rows.map((row) => ({
      at: new Date(Number(row.at_ms)),
      kind: row.kind,
      step: row.step ?? undefined,
      detail: row.detail ?? undefined,
      message: { type: row.message_type, id: row.message_id },
    }))
  }

  async list(database: Transaction, filter: SagaListFilter): Promise<readonly SagaRecord[]> {
    const parameters: unknown[] = [this.#saga]
    const conditions = ['saga = $1']
    const parameter = (value: unknown) => `$${parameters.push(value)}`
    if (filter.status !== undefined) conditions.push(`status = ${parameter(filter.status)}`)
    if (filter.after !== undefined) conditions.push(`id > ${parameter(filter.after)}`)
    if (filter.idleMs !== undefined)
      conditions.push(`updated_at <= ${this.#dialect.after(parameter(-filter.idleMs))}`)
    const rows = await database.query<SagaRow>(
      `SELECT ${this.#columns} FROM ${this.#sagas} WHERE ${conditions.join(' AND ')}
ORDER BY id LIMIT ${parameter(filter.limit)}`,
      parameters,
    )
    return rows.map((row) => toRecord(this.#saga, row))
  }

  /** Removes what has ended and not changed for so long, with its history. Resolves with how many they were. */
  async forget(database: Queries, idleMs: number): Promise<number> {
    return await database.transaction(async (transaction) => {
      const ended = `saga = $1 AND status IN ('completed', 'compensated') AND updated_at <= ${this.#dialect.after('$2')}`
      const parameters = [this.#saga, -idleMs]
      await transaction.query(
        `DELETE FROM ${this.#events} WHERE saga = $1 AND id IN (SELECT id FROM ${this.#sagas} WHERE ${ended})`,
        parameters,
      )
      const rows = await transaction.query(
        `DELETE FROM ${this.#sagas} WHERE ${ended} RETURNING id`,
        parameters,
      )
      return rows.length
    })
  }

  get #columns(): string {
    const { epochMs } = this.#dialect
    const moments = `${epochMs('started_at')} AS started_ms, ${epochMs('updated_at')} AS updated_ms`
    return `id, status, step, data, progress, reason, version, ${moments}`
  }

  #fields({ status, step, data, steps, doubts, timeouts, reason }: SagaRecord): readonly unknown[] {
    const progress = JSON.stringify({ steps, doubts, timeouts })
    return [status, step ?? null, JSON.stringify(data), progress, reason ?? null]
  }
}

/** @throws {MessagingError} `topology-mismatch` when the row is none that this version can have written. */
function toRecord(saga: string, row: SagaRow): SagaRecord {
  const { data, steps, doubts, timeouts } = stored(saga, row)
  return {
    id: row.id,
    status: row.status,
    step: row.step ?? undefined,
    data,
    steps: steps satisfies Record<string, StepStatus>,
    doubts,
    timeouts,
    reason: row.reason ?? undefined,
    version: row.version,
    startedAt: Number(row.started_ms),
    updatedAt: Number(row.updated_ms),
  }
}

function stored(saga: string, { id, data, progress }: SagaRow) {
  try {
    const parsed: unknown = JSON.parse(data)
    return { data: parsed, ...progressSchema.parse(JSON.parse(progress)) }
  } catch (error) {
    const what = `The row of saga "${saga}" ${id} cannot be read`
    const next = 'A newer version may have written it, then deploy that here; or it was changed by hand'
    throw new MessagingError('topology-mismatch', `${what}. ${next}`, { retryable: true, cause: error })
  }
}
