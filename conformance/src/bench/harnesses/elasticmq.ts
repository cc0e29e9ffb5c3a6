import type { Harness } from '../../harness.ts'
import { openEmulator } from './sqs.ts'

/**
 * The SQS adapter without SNS, on an emulator of other make. It can keep its state over restarts, but not with hundreds of
 * queues ("Failed to restore persisted queues"), and no queue of it can be made to refuse what another takes.
 */
export async function open(): Promise<{ harness: Harness; close(): Promise<void> }> {
  const { harness, close } = await openEmulator('elasticmq')
  const { broker, inspect: { failDeadLetterWrites, ...inspect } = {}, ...rest } = harness
  return { harness: { ...rest, severalGroups: false, inspect }, close }
}
