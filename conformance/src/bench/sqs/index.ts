import type { Section } from '../../case/case.ts'
import { administration } from './administration.ts'
import { faults } from './faults.ts'
import { fifo } from './fifo.ts'
import { foreign } from './foreign.ts'
import { groups } from './groups.ts'
import { redrive } from './redrive.ts'
import { requests } from './requests.ts'
import type { Surroundings } from './surroundings.ts'
import { topology } from './topology.ts'

/** What the SQS adapter promises beyond the contract. */
export function sqsSections(surroundings: Surroundings): readonly Section[] {
  return [
    { title: 'The redrive policy', cases: redrive(surroundings.sqs) },
    { title: 'FIFO queues', cases: fifo },
    { title: 'Queues and topics', cases: topology(surroundings.sqs) },
    { title: 'Answers that emulators do not give', cases: faults(surroundings) },
    { title: 'Messages of others', cases: foreign(surroundings) },
    { title: 'Groups, accounts and regions', cases: groups(surroundings) },
    { title: 'Requests', cases: requests(surroundings) },
    { title: 'Administration', cases: administration(surroundings.sqs) },
  ]
}
