import { hasEnded } from '../job.ts'
import type { JobRow, JobRows } from '../store.ts'
import { ended, waiting } from './job-change.ts'

/**
 * Writes rows that have changed, with what follows from those that have ended: their keys are free, and the jobs that wait for
 * them run, fail, or go on waiting. All of it in the transaction in which they ended.
 */
export async function writeEndings(rows: JobRows, changes: readonly JobRow[]): Promise<void> {
  const written = new Map(changes.map((row) => [row.id, row]))
  let children = changes.filter((row) => hasEnded(row.state))
  const keyed = children.filter(({ details }) => details.key !== undefined).map(({ id }) => id)
  while (children.length > 0) {
    const ids = [...new Set(children.flatMap(({ parent }) => parent ?? []))].filter((id) => !written.has(id))
    for (const parent of await rows.lock(ids)) written.set(parent.id, parent)
    const failed: JobRow[] = []
    for (const child of children) {
      const parent = child.parent === undefined ? undefined : written.get(child.parent)
      if (parent === undefined || child.details.isCounted === true) continue
      const after = afterChild(parent, child, rows.now)
      if (after === undefined) continue
      written.set(parent.id, after)
      if (after.state === 'failed') failed.push(after)
      else written.set(child.id, { ...child, details: { ...child.details, isCounted: true } })
    }
    keyed.push(...failed.filter(({ details }) => details.key !== undefined).map(({ id }) => id))
    children = failed
  }
  await rows.update([...written.values()])
  await rows.releaseKeys(keyed)
  rows.announce()
}

/** A parent after one of its children has ended; undefined: nothing changes. */
function afterChild(parent: JobRow, child: JobRow, now: number): JobRow | undefined {
  const { onFailure = 'fail-parent' } = child.details
  const isDone = child.state === 'completed' || onFailure === 'ignore'
  if (isDone) {
    const pending = (parent.details.pending ?? 1) - 1
    const details = { ...parent.details, pending }
    if (parent.state !== 'waiting-for-children') return { ...parent, details }
    return pending > 0 ? { ...parent, details } : waiting(parent, now, 0, { details })
  }
  if (onFailure === 'wait' || parent.state !== 'waiting-for-children') return undefined
  const why = child.state === 'cancelled' ? 'was cancelled' : `failed: ${child.details.error?.message ?? ''}`
  const error = { name: 'ChildFailed', message: `its child ${child.name} ${child.id} ${why}` }
  return ended(parent, now, 'failed', { details: { ...parent.details, error } })
}
