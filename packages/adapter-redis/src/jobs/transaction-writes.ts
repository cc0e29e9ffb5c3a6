import type { JobKey, JobRow, ScheduleRow } from '@waybill/jobs'
import type { Commands } from './commands.ts'
import { type JobKeys, kindOf } from './job-keys.ts'
import { moves, placesOf } from './places.ts'
import { headOf, isLateAt, revised, type StoredJob, textField, textFields } from './stored-job.ts'

/** What it takes to write a job: its head, the texts that have changed, and where it stands. */
export function writeJob(
  commands: Commands,
  keys: JobKeys,
  before: StoredJob | undefined,
  row: JobRow,
  now: number,
  revision: string,
): void {
  const isLate = isLateAt(row, now)
  commands.merge('HSET', keys.heads, row.id, revised(revision, headOf(row, isLate)))
  if (before === undefined) commands.merge('SADD', keys.kinds, kindOf(row))
  for (const field of textFields) {
    const text = row[field]
    if (text === before?.row[field]) continue
    if (text === undefined) commands.merge('HDEL', keys.texts, textField(field, row.id))
    else commands.merge('HSET', keys.texts, textField(field, row.id), text)
  }
  if (row.owner !== before?.row.owner) {
    if (row.owner === undefined) commands.merge('HDEL', keys.owners, row.id)
    else commands.merge('HSET', keys.owners, row.id, row.owner)
  }
  const from = before === undefined ? [] : placesOf(keys, before.row, before.isLate)
  const { leave, enter } = moves(from, placesOf(keys, row, isLate))
  for (const { key, member } of leave) commands.merge('ZREM', key, member)
  for (const { key, member, score } of enter) commands.merge('ZADD', key, score, member)
}

export function removeJob(commands: Commands, keys: JobKeys, { row, isLate }: StoredJob): void {
  commands.merge('HDEL', keys.heads, row.id)
  commands.merge('HDEL', keys.texts, ...textFields.map((field) => textField(field, row.id)))
  if (row.owner !== undefined) commands.merge('HDEL', keys.owners, row.id)
  for (const { key, member } of placesOf(keys, row, isLate)) commands.merge('ZREM', key, member)
}

export function writeHolder(commands: Commands, keys: JobKeys, holder: JobKey, revision: string): void {
  const { key, job, until } = holder
  commands.merge('HSET', keys.holders, key, revised(revision, JSON.stringify({ job, until })))
  if (until === undefined) commands.merge('ZREM', keys.held, key)
  else commands.merge('ZADD', keys.held, until, key)
}

export function removeHolder(commands: Commands, keys: JobKeys, key: string): void {
  commands.merge('HDEL', keys.holders, key)
  commands.merge('ZREM', keys.held, key)
}

export function writeSchedule(
  commands: Commands,
  keys: JobKeys,
  { id, nextAt, details }: ScheduleRow,
  revision: string,
): void {
  commands.merge('HSET', keys.schedules, id, revised(revision, JSON.stringify({ nextAt, details })))
  commands.merge('ZADD', keys.scheduleIds, 0, id)
  if (nextAt === undefined) commands.merge('ZREM', keys.scheduleTimes, id)
  else commands.merge('ZADD', keys.scheduleTimes, nextAt, id)
}

export function removeSchedule(commands: Commands, keys: JobKeys, id: string): void {
  commands.merge('HDEL', keys.schedules, id)
  for (const key of [keys.scheduleIds, keys.scheduleTimes]) commands.merge('ZREM', key, id)
}
