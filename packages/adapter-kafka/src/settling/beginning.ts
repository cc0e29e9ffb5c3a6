import type { LogRange } from '../client/logs.ts'
import { type CommitRecord, emptyRecord, parseRecord } from './offsets.ts'

/** Where the work on a partition begins. */
export interface Beginning {
  readonly offset: number
  readonly record: CommitRecord
  /** What an operator should know: the committed position was of no use, or messages are gone. */
  readonly warning?: string
}

/**
 * Where a group begins that has committed this offset of a log, by what the broker has. Always on the safe side: what may
 * not have been handled is handled again. Without a usable commit that is the earliest message: `apply` gave the group its
 * place in every partition there was, so whatever has none came later, or was lost.
 */
export function beginningOf(
  commit: { readonly offset: number; readonly metadata: string | null },
  range: LogRange,
  topicId: string | undefined,
): Beginning {
  const { offset } = commit
  const anew = { offset: range.start, record: emptyRecord }
  if (offset < 0) return anew
  const record = parseRecord(offset, commit.metadata)
  if (record.topicId !== undefined && topicId !== undefined && record.topicId !== topicId) {
    return { ...anew, warning: 'the topic was deleted and made again; it is read from its beginning' }
  }
  if (offset > range.end) {
    const warning = `offset ${offset} was committed, but the log ends at ${range.end}: it has lost messages or was made again, and is read from its beginning at ${range.start}`
    return { ...anew, warning }
  }
  if (offset < range.start) {
    const warning = `the broker has removed the messages from ${offset} to ${range.start - 1} before the group was done with them`
    return { offset: range.start, record, warning }
  }
  return { offset, record }
}
