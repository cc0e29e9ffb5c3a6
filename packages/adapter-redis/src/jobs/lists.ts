import type { JobCounts, JobCursor, JobFilter, JobRow, JobState } from '@waybill/jobs'
import { asArray, asNumber, asText, asUtf8 } from '../wire/reply.ts'
import { Commands } from './commands.ts'
import { type Bucket, byCreation, idIn, type Kind } from './job-keys.ts'
import type { JobReader } from './job-reader.ts'
import type { Kinds } from './kinds.ts'

const pageSize = 500

const buckets = [
  'waiting',
  'delayed',
  'waiting-for-children',
  'active',
  'completed',
  'failed',
  'cancelled',
] as const satisfies readonly Bucket[]

/** Counts jobs, and reads them in order. */
export class Lists {
  readonly #reader: JobReader
  readonly #kinds: Kinds

  constructor(reader: JobReader, kinds: Kinds) {
    this.#reader = reader
    this.#kinds = kinds
  }

  /** Of one moment. What has come due is among the late until somebody writes it. */
  async counts(filter: Pick<JobFilter, 'name' | 'queue'>, now: number): Promise<JobCounts> {
    const { asked, replies } = await this.#kinds.read(filter, (commands, kinds) => {
      for (const kind of kinds) {
        for (const bucket of buckets) commands.add('ZCARD', this.#reader.keys.ofKind(kind, bucket))
        commands.add('ZCOUNT', this.#reader.keys.ofKind(kind, 'due'), '-inf', now)
      }
      return kinds.length
    })
    const counts = noJobs()
    for (let kind = 0; kind < asked; kind += 1) {
      const first = kind * (buckets.length + 1)
      for (const [index, bucket] of buckets.entries()) counts[bucket] += asNumber(replies[first + index])
      const overdue = asNumber(replies[first + buckets.length])
      counts.waiting += overdue
      counts.delayed -= overdue
    }
    return counts
  }

  /** By creation, latest first. */
  async latest(filter: JobFilter, limit: number, after: JobCursor | undefined, now: number) {
    const rows: JobRow[] = []
    const { keys } = this.#reader
    const withLate = await this.#withLate(filter, now)
    let from = after === undefined ? '+' : `(${byCreation({ createdAt: after.at, id: after.id })}`
    while (rows.length < limit) {
      const size = Math.min(limit - rows.length, pageSize)
      const range = [from, '-', 'BYLEX', 'REV', 'LIMIT', 0, size] as const
      const { replies } = await this.#kinds.read(filter, (commands, kinds) => {
        const sets =
          filter.parent === undefined
            ? kinds.flatMap((kind) =>
                bucketsOf(filter, withLate?.has(kind)).map((bucket) => keys.ofKind(kind, bucket)),
              )
            : [keys.children(filter.parent)]
        for (const set of sets) commands.add('ZRANGE', set, ...range)
      })
      // Redis sorts by bytes.
      const found = replies.flatMap((reply) => asArray(reply).filter(Buffer.isBuffer))
      const page = found.sort((one, other) => other.compare(one)).slice(0, size)
      const members = page.map(asUtf8)
      rows.push(...(await this.#reader.rows(members.map(idIn))).filter((row) => fits(row, filter, now)))
      const last = members.at(-1)
      if (last === undefined || members.length < size) break
      from = `(${last}`
    }
    return rows
  }

  /** The kinds of which some that are late are looked for. Undefined: whatever there is of them. */
  async #withLate(filter: JobFilter, now: number): Promise<ReadonlySet<Kind> | undefined> {
    const { states = buckets, parent } = filter
    const [wantsDue, wantsLate] = [states.includes('waiting'), states.includes('delayed')]
    if (parent !== undefined || wantsDue === wantsLate) return undefined
    const { asked, replies } = await this.#kinds.read(filter, (commands, kinds) => {
      const range = wantsDue ? ['-inf', now] : [`(${now}`, '+inf']
      for (const kind of kinds) commands.add('ZCOUNT', this.#reader.keys.ofKind(kind, 'due'), ...range)
      return kinds
    })
    return new Set(asked.filter((_, index) => asNumber(replies[index]) > 0))
  }

  /** By change, oldest first. */
  async changed(filter: JobFilter, since: number, limit: number, now: number): Promise<readonly JobRow[]> {
    const { replies } = await this.#kinds.read(filter, (commands, kinds) => {
      const range = [since, '+inf', 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES'] as const
      for (const kind of kinds) commands.add('ZRANGE', this.#reader.keys.ofKind(kind, 'changed'), ...range)
    })
    const found = replies.flatMap(scored).sort((one, other) => one.score - other.score)
    const rows = await this.#reader.rows(found.slice(0, limit).map(({ member }) => member))
    return rows
      .filter((row) => fits(row, filter, now))
      .toSorted((one, other) => one.updatedAt - other.updatedAt)
  }

  /** The lowest score in any of these sets. */
  async earliest(sets: readonly string[]): Promise<number | undefined> {
    const [moment] = await this.earliestOfEach([sets])
    return moment
  }

  /** The same for each of several groups of sets, all at one moment. */
  async earliestOfEach(groups: readonly (readonly string[])[]): Promise<readonly (number | undefined)[]> {
    if (groups.length === 0) return []
    const commands = new Commands()
    for (const set of groups.flat()) commands.add('ZRANGE', set, 0, 0, 'WITHSCORES')
    const replies = (await this.#reader.read(commands)).values()
    return groups.map((sets) => {
      const scores = sets.flatMap(() => scored(replies.next().value).map(({ score }) => score))
      return scores.length === 0 ? undefined : Math.min(...scores)
    })
  }
}

function noJobs(): Record<JobState, number> {
  return {
    waiting: 0,
    delayed: 0,
    'waiting-for-children': 0,
    active: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
  }
}

/** Where jobs of these states are. What is due stays among the late until somebody writes it. */
function bucketsOf({ states }: JobFilter, hasLate = true): readonly Bucket[] {
  if (states === undefined) return buckets
  const wantsLate = hasLate && (states.includes('delayed') || states.includes('waiting'))
  return buckets.filter((bucket) => (bucket === 'delayed' ? wantsLate : states.includes(bucket)))
}

function fits(row: JobRow, { name, queue, states, parent }: JobFilter, now: number): boolean {
  const state: JobState = row.state === 'waiting' && row.dueAt > now ? 'delayed' : row.state
  return (
    (name === undefined || row.name === name) &&
    (queue === undefined || row.queue === queue) &&
    (states === undefined || states.includes(state)) &&
    (parent === undefined || row.parent === parent)
  )
}

/** Members and their scores in turn. */
function scored(reply: unknown): readonly { readonly member: string; readonly score: number }[] {
  const flat = asArray(reply)
  const pairs: { readonly member: string; readonly score: number }[] = []
  for (let index = 0; index + 1 < flat.length; index += 2)
    pairs.push({ member: asUtf8(flat[index]), score: Number(asText(flat[index + 1])) })
  return pairs
}
