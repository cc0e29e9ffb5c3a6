import { MessagingError, type Outcome } from '@waybill/core/driver'
import { failed } from '@waybill/core/driver-kit'
import { recordBytes } from '../wire/record-limits.ts'
import type { ProducedRecord } from '../wire/records.ts'
import type { Publisher } from './publisher.ts'

/** Has a topic take batches of so many bytes, if we may; false when we may not. */
export type MakeRoom = (topic: string, bytes: number) => Promise<boolean>

/** From this size on, being too large is the record's fault. */
const largeBytes = 64 * 1024

export const noAnswer: Outcome = failed(
  new MessagingError('failed', 'The broker did not confirm the copy', { retryable: true }),
)

export function isTooLarge(outcome: Outcome): boolean {
  return !outcome.ok && outcome.error.code === 'too-large'
}

/** Refused because of its own size; a topic that does not even take small ones is kept from being written. */
export function isItselfTooLarge(outcome: Outcome, record: ProducedRecord): boolean {
  return isTooLarge(outcome) && recordBytes(record) > largeBytes
}

/** Sends a record that fitted another topic: because it was compressed there, or because that topic takes more. */
export async function sendLarge(
  { publisher, makeRoom }: { readonly publisher: Publisher; readonly makeRoom: MakeRoom },
  topic: string,
  record: ProducedRecord,
): Promise<Outcome> {
  const send = async () => (await publisher.send(topic, [record], { compression: 'gzip' }))[0] ?? noAnswer
  const outcome = await send()
  return isTooLarge(outcome) && (await makeRoom(topic, recordBytes(record))) ? send() : outcome
}
