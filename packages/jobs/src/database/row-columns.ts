import type { Dialect, FieldType } from '@waybill/database/dialects'
import type { ScheduleDetails, ScheduleRow } from '../schedule.ts'
import type { JobDetails, JobRow, StoredState } from '../store.ts'

/** The columns of a job, and the field each is of. */
export const columns = [
  { column: 'id', field: 'id', type: 'text' },
  { column: 'queue', field: 'queue', type: 'text' },
  { column: 'name', field: 'name', type: 'text' },
  { column: 'state', field: 'state', type: 'text' },
  { column: 'priority', field: 'priority', type: 'integer' },
  { column: 'ordinal', field: 'ordinal', type: 'integer' },
  { column: 'run', field: 'run', type: 'integer' },
  { column: 'version', field: 'version', type: 'integer' },
  { column: 'attempt', field: 'attempt', type: 'integer' },
  { column: 'started_at', field: 'startedAt', type: 'bigint' },
  { column: 'due_at', field: 'dueAt', type: 'bigint' },
  { column: 'send_at', field: 'sendAt', type: 'bigint' },
  { column: 'is_sent', field: 'isSent', type: 'integer' },
  { column: 'owner', field: 'owner', type: 'text' },
  { column: 'lease_until', field: 'leaseUntil', type: 'bigint' },
  { column: 'parent', field: 'parent', type: 'text' },
  { column: 'created_at', field: 'createdAt', type: 'bigint' },
  { column: 'updated_at', field: 'updatedAt', type: 'bigint' },
  { column: 'finished_at', field: 'finishedAt', type: 'bigint' },
  { column: 'remove_at', field: 'removeAt', type: 'bigint' },
  { column: 'data', field: 'data', type: 'text' },
  { column: 'output', field: 'output', type: 'text' },
  { column: 'progress', field: 'progress', type: 'text' },
  { column: 'details', field: 'details', type: 'text' },
] as const

export type Column = (typeof columns)[number]

/** Which job a change is of: named apart from the column, so that `RETURNING id` says which of the two. */
export const jobColumn = { column: 'id', field: 'job', type: 'text' } as const

/** What a change of some columns is made of. */
export type ChangedField = keyof JobRow | typeof jobColumn.field

export const keyColumns = [
  { field: 'key', type: 'text' },
  { field: 'job', type: 'text' },
  { field: 'until', type: 'bigint' },
] as const

export const scheduleColumns = [
  { field: 'id', type: 'text' },
  { field: 'nextAt', type: 'bigint' },
  { field: 'details', type: 'text' },
] as const

export const columnNames = columns.map(({ column }) => column).join(', ')

const dataColumns: readonly string[] = ['data', 'output', 'progress'] satisfies (keyof JobRow)[]

/** As if there were none, which spares reading what may be large. */
export const columnsWithoutData = columns
  .map(({ column }) => (dataColumns.includes(column) ? `NULL AS ${column}` : column))
  .join(', ')

type Moment = number | string

/** A job as a query answers. Numbers of 64 bits may be text. */
export interface StoredJob {
  readonly id: string
  readonly queue: string
  readonly name: string
  readonly state: StoredState
  readonly priority: number
  readonly ordinal: number
  readonly run: number
  readonly version: number
  readonly attempt: number
  readonly started_at: Moment | null
  readonly due_at: Moment
  readonly send_at: Moment
  readonly is_sent: number
  readonly owner: string | null
  readonly lease_until: Moment | null
  readonly parent: string | null
  readonly created_at: Moment
  readonly updated_at: Moment
  readonly finished_at: Moment | null
  readonly remove_at: Moment | null
  readonly data: string | null
  readonly output: string | null
  readonly progress: string | null
  readonly details: string
}

export function fromStored(stored: StoredJob): JobRow {
  const details: JobDetails = JSON.parse(stored.details)
  return {
    id: stored.id,
    queue: stored.queue,
    name: stored.name,
    state: stored.state,
    priority: stored.priority,
    ordinal: stored.ordinal,
    run: stored.run,
    version: stored.version,
    attempt: stored.attempt,
    startedAt: optionalMoment(stored.started_at),
    dueAt: Number(stored.due_at),
    sendAt: Number(stored.send_at),
    isSent: stored.is_sent === 1,
    owner: stored.owner ?? undefined,
    leaseUntil: optionalMoment(stored.lease_until),
    parent: stored.parent ?? undefined,
    createdAt: Number(stored.created_at),
    updatedAt: Number(stored.updated_at),
    finishedAt: optionalMoment(stored.finished_at),
    removeAt: optionalMoment(stored.remove_at),
    data: stored.data ?? undefined,
    output: stored.output ?? undefined,
    progress: stored.progress ?? undefined,
    details,
  }
}

type Columns<Field extends string> = readonly { readonly field: Field; readonly type: FieldType }[]

/** Rows as the parameters of a statement that writes them. */
export interface Incoming<Field extends string> {
  /** The table that the statement reads them from. */
  readonly table: string
  readonly parameters: readonly unknown[]
  /** Of the value of a field. */
  expression(field: Field): string
}

/**
 * Of at least one row. What is the same in all of them is given once. `isMany`: many rows that are put in; nothing may be looked up by
 * them, for the planner does not know how many they are.
 */
export function incomingRows<Field extends string, Row>(
  dialect: Dialect,
  of: Columns<Field>,
  rows: readonly Row[],
  valueIn: (row: Row, field: Field) => unknown,
  isMany = false,
): Incoming<Field> {
  const [head] = rows
  const isSame = ({ field }: { readonly field: Field }) => {
    const first = head && valueIn(head, field)
    return rows.every((row) => valueIn(row, field) === first)
  }
  // The first tells how many there are.
  const varying = of.filter((column, index) => index === 0 || !isSame(column))
  const same = of.filter((column) => !varying.includes(column))
  const names = varying.map(({ field }) => field)
  const values = varying.map(({ field }) => rows.map((row) => valueIn(row, field) ?? null))
  const expressions = new Map(same.map(({ field, type }, index) => [field, `CAST($${index + 1} AS ${type})`]))
  for (const { field, type } of isMany ? varying : [])
    expressions.set(field, `CAST(incoming."${field}" AS ${type})`)
  const first = same.length + 1
  return {
    table: isMany
      ? dialect.manyRows(first, names)
      : dialect.rows(
          first,
          varying.map(({ field, type }) => ({ name: field, type })),
        ),
    parameters: [
      ...same.map(({ field }) => (head && valueIn(head, field)) ?? null),
      ...(isMany ? dialect.manyRowParameters(values) : dialect.rowParameters(values)),
    ],
    expression: (field) => expressions.get(field) ?? `incoming."${field}"`,
  }
}

/** A field of a job as its column has it. */
export function columnValue(row: JobRow, field: ChangedField): unknown {
  if (field === 'job') return row.id
  if (field === 'details') return JSON.stringify(row.details)
  return field === 'isSent' ? Number(row.isSent) : row[field]
}

/** A schedule as a query answers. */
export interface StoredSchedule {
  readonly id: string
  readonly next_at: Moment | null
  readonly details: string
}

export function fromStoredSchedule({ id, next_at: next, details: text }: StoredSchedule): ScheduleRow {
  const details: ScheduleDetails = JSON.parse(text)
  return { id, nextAt: optionalMoment(next), details }
}

function optionalMoment(moment: Moment | null): number | undefined {
  return moment === null ? undefined : Number(moment)
}
