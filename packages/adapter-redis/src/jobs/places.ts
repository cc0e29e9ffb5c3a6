import type { JobRow } from '@waybill/jobs'
import { type Bucket, byCreation, byOrdinal, type JobKeys, kindOf } from './job-keys.ts'

/** Where a job stands in a sorted set. */
export interface Place {
  readonly key: string
  readonly member: string
  readonly score: number
}

/** Every set that a job is in. */
export function placesOf(keys: JobKeys, row: JobRow, isLate: boolean): readonly Place[] {
  const { id, queue, name, state, parent, leaseUntil, removeAt, finishedAt } = row
  const kind = kindOf(row)
  const bucket: Bucket = isLate ? 'delayed' : state
  const created = byCreation(row)
  const places: Place[] = [
    { key: keys.ofKind(kind, bucket), member: created, score: 0 },
    { key: keys.ofKind(kind, 'changed'), member: id, score: row.updatedAt },
  ]
  const stand = (key: string, score: number, member = id) => places.push({ key, member, score })
  if (isLate) stand(keys.ofKind(kind, 'due'), row.dueAt)
  if (state === 'waiting') stand(keys.toSend(queue, row.isSent, row.priority), row.sendAt, byOrdinal(row))
  if (leaseUntil !== undefined) stand(keys.leases, leaseUntil)
  if (removeAt !== undefined) stand(keys.expiring, removeAt)
  if (finishedAt !== undefined) stand(keys.ended(name, state), finishedAt)
  if (parent !== undefined) stand(keys.children(parent), 0, created)
  return places
}

/** What is to be done so that a job stands where it should. */
export function moves(
  from: readonly Place[],
  to: readonly Place[],
): { readonly leave: readonly Place[]; readonly enter: readonly Place[] } {
  const isSame = (one: Place) => (other: Place) => one.key === other.key && one.member === other.member
  return {
    leave: from.filter((place) => !to.some(isSame(place))),
    enter: to.filter((place) => from.find(isSame(place))?.score !== place.score),
  }
}
