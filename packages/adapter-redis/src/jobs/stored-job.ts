import type { JobKey, JobRow, ScheduleRow } from '@waybill/jobs'

/** What of a job is apart from its head, since it may be large and seldom changes. */
export const textFields = ['data', 'output', 'progress'] as const

/** A job as the store has it. */
export interface StoredJob {
  /** Another after each change. */
  readonly revision: string
  readonly row: JobRow
  /** It is among those that wait for their time. */
  readonly isLate: boolean
}

/** The field of a text of a job. */
export function textField(field: (typeof textFields)[number], id: string): string {
  return `${field[0]}:${id}`
}

/**
 * What a head holds: a line of what changes when a run begins, which scripts understand, and the rest. The lease is apart, for it is
 * renewed without them.
 */
export function headOf(row: JobRow, isLate: boolean): string {
  const { name, state, owner, attempt, startedAt, version, createdAt, updatedAt } = row
  const moving = { name, state, owner, attempt, startedAt, version, createdAt, updatedAt, isLate }
  const { id, queue, priority, ordinal, run, dueAt, sendAt, isSent, parent, finishedAt, removeAt, details } =
    row
  // Named one by one: a rest of all others takes several times as long, for each job that is written.
  const rest: Rest = {
    id,
    queue,
    priority,
    ordinal,
    run,
    dueAt,
    sendAt,
    isSent,
    parent,
    finishedAt,
    removeAt,
    details,
  }
  return `${JSON.stringify(moving)}\n${JSON.stringify(rest)}`
}

type Moving = 'name' | 'state' | 'owner' | 'attempt' | 'startedAt' | 'version' | 'createdAt' | 'updatedAt'

type Rest = Omit<JobRow, Moving | (typeof textFields)[number] | 'leaseUntil'>

/** The other way round; without texts and lease. */
export function rowInHead(text: string): JobRow & { readonly isLate: boolean } {
  const end = text.indexOf('\n')
  const moving: Pick<JobRow, Moving> & { readonly isLate: boolean } = JSON.parse(text.slice(0, end))
  const rest: Omit<JobRow, Moving> = JSON.parse(text.slice(end + 1))
  return { ...moving, ...rest }
}

/** The name alone, of which many may be looked through. */
export function nameInHead(text: string): string {
  const moving: Pick<JobRow, 'name'> = JSON.parse(text.slice(0, text.indexOf('\n')))
  return moving.name
}

/** Waits for a time that has not come. */
export function isLateAt({ state, dueAt }: JobRow, now: number): boolean {
  return state === 'waiting' && dueAt > now
}

type Text = string | undefined

export function storedJob(
  { revision, json }: Revised,
  [data, output, progress]: readonly Text[],
  lease: Text,
): StoredJob {
  const { isLate, ...head } = rowInHead(json)
  const leaseUntil = lease === undefined ? undefined : Number(lease)
  return { revision, isLate, row: { ...head, leaseUntil, data, output, progress } }
}

/** A value of a hash that is checked before it is changed. */
export interface Revised {
  readonly revision: string
  readonly json: string
}

export function revised(revision: string, json: string): string {
  return `${revision} ${json}`
}

export function fromRevised(value: string): Revised {
  const at = value.indexOf(' ')
  return { revision: value.slice(0, at), json: value.slice(at + 1) }
}

export function holderIn(key: string, json: string): JobKey {
  const { job, until }: Omit<JobKey, 'key'> = JSON.parse(json)
  return { key, job, until }
}

export function scheduleIn(id: string, json: string): ScheduleRow {
  const { nextAt, details }: Omit<ScheduleRow, 'id'> = JSON.parse(json)
  return { id, nextAt, details }
}
