import type { SQSClient } from '@aws-sdk/client-sqs'
import type { Section } from '../../case/case.ts'
import { fifo } from './fifo.ts'
import { redrive } from './redrive.ts'
import { topology } from './topology.ts'

/** What the SQS adapter promises beyond the contract. `sqs` is a plain client of the emulator. */
export function sqsSections(sqs: SQSClient): readonly Section[] {
  return [
    { title: 'The redrive policy', cases: redrive },
    { title: 'FIFO queues', cases: fifo },
    { title: 'Queues and topics', cases: topology(sqs) },
  ]
}
