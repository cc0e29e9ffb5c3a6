import { hash } from 'node:crypto'
import type { IdempotencyMark } from '@waybill/core'

/** The key of a mark. The parts are written so that no two marks run together. */
export function markDigest({ group, topic, type, source, id }: IdempotencyMark): Buffer {
  // By way of a text, since memory of its own for each digest takes longer than the digest.
  return Buffer.from(hash('sha256', JSON.stringify([group, topic, type, source, id]), 'binary'), 'binary')
}

/** The first six parameters of every statement that writes a mark: its key and what it is of. */
export function markParameters(mark: IdempotencyMark): readonly unknown[] {
  // PostgreSQL has no text with NUL in it; the key tells such ids apart all the same.
  const text = (part: string) => (part.includes('\0') ? part.replaceAll('\0', '\u2400') : part)
  const { group, topic, type, source, id } = mark
  return [markDigest(mark), text(group), text(topic), text(type), text(source), text(id)]
}

export const markColumns = 'mark, message_group, topic, type, source, id'
