import type { JobRow } from '@waybill/jobs'

/** A state as lists have it: what waits for its time is apart from what only waits for a worker. */
export type Bucket = JobRow['state'] | 'delayed'

/** What jobs are counted and listed by: a queue and a name, as one text. */
export type Kind = string

/**
 * The keys of a job store. The braces are its hash tag: a cluster keeps all of them on one node, so that a change of many jobs is one
 * script.
 */
export interface JobKeys {
  /** A hash by id: the revision, and the job but for its texts and its lease. */
  readonly heads: string
  /** A hash: data, output and progress, each by a letter and the id. */
  readonly texts: string
  /** A hash by id: who runs it. */
  readonly owners: string
  /** Sorted sets of ids: by when their leases end, and by when they are removed. */
  readonly leases: string
  readonly expiring: string
  /** A hash: who holds a key. A sorted set: keys that are held for a time. */
  readonly holders: string
  readonly held: string
  /** A hash of schedules by id, a sorted set of their ids, and one by when they run next. */
  readonly schedules: string
  readonly scheduleIds: string
  readonly scheduleTimes: string
  /** A hash: who sent jobs of a queue last, where they are counted. */
  readonly queues: string
  /** A set: every kind that there ever was. */
  readonly kinds: string
  /** The channel that tells of changes. */
  readonly changed: string
  /** Sorted sets: the jobs of a kind in a bucket by creation, by when they are due, and by when they changed. */
  ofKind(kind: Kind, index: Bucket | 'due' | 'changed'): string
  /** A sorted set: what waits in a queue, by when its message is to be sent. */
  toSend(queue: string, isSent: boolean, priority: number): string
  /** A sorted set: what has ended of a name, by when. */
  ended(name: string, state: string): string
  /** A sorted set: the children of a job by creation. */
  children(parent: string): string
}

export function jobKeys(prefix: string, store: string): JobKeys {
  const base = `${prefix}:jobs:{${store}}`
  return {
    heads: `${base}:heads`,
    texts: `${base}:texts`,
    owners: `${base}:owners`,
    leases: `${base}:leases`,
    expiring: `${base}:expiring`,
    holders: `${base}:holders`,
    held: `${base}:held`,
    schedules: `${base}:schedules`,
    scheduleIds: `${base}:schedules:ids`,
    scheduleTimes: `${base}:schedules:times`,
    queues: `${base}:queues`,
    kinds: `${base}:kinds`,
    changed: `${base}:changed`,
    ofKind: (kind, index) => `${base}:kind:${kind}:${index}`,
    toSend: (queue, isSent, priority) => `${base}:send:${isSent ? 'sent' : 'fresh'}:${priority}:${queue}`,
    ended: (name, state) => `${base}:ended:${state}:${name}`,
    children: (parent) => `${base}:children:${parent}`,
  }
}

export const priorities = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] as const

/** Colons stand in the queues of messages too. */
export function kindOf({ queue, name }: Pick<JobRow, 'queue' | 'name'>): Kind {
  return `${encodeURIComponent(queue)}:${encodeURIComponent(name)}`
}

export function partsOf(kind: Kind): { readonly queue: string; readonly name: string } {
  const [queue = '', name = ''] = kind.split(':')
  return { queue: decodeURIComponent(queue), name: decodeURIComponent(name) }
}

// Digits enough for every moment, and for every ordinal.
const momentDigits = 15
const ordinalDigits = 10

/** A member of a set that is in the order of creation: all have score 0, so members are sorted by their bytes. */
export function byCreation({ createdAt, id }: Pick<JobRow, 'createdAt' | 'id'>): string {
  return `${String(createdAt).padStart(momentDigits, '0')}:${id}`
}

/** Of those whose messages are due in the same millisecond, the one that was added first comes first. */
export function byOrdinal({ ordinal, id }: Pick<JobRow, 'ordinal' | 'id'>): string {
  return `${String(ordinal).padStart(ordinalDigits, '0')}:${id}`
}

/** The id in a member of either. */
export function idIn(member: string): string {
  return member.slice(member.indexOf(':') + 1)
}
