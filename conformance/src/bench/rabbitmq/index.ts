import type { Section } from '../../case/case.ts'
import type { Administration } from './administration.ts'
import { connecting } from './connecting.ts'
import { counting } from './counting.ts'
import { delays } from './delays.ts'
import { faults } from './faults.ts'
import { foreignEvents } from './foreign-events.ts'
import { handover } from './handover.ts'
import { overTls } from './over-tls.ts'
import { permissions } from './permissions.ts'
import { topology } from './topology.ts'
import { wishes } from './wishes.ts'

/** What the RabbitMQ adapter promises beyond the contract. Numbers begin where those of the contract are far away. */
export function rabbitmqSections(administration: Administration): readonly Section[] {
  return [
    { title: 'RabbitMQ: connecting', cases: [...connecting(administration), ...overTls] },
    { title: 'RabbitMQ: topology', cases: [...topology(administration), ...permissions(administration)] },
    { title: 'RabbitMQ: delays', cases: delays(administration) },
    {
      title: 'RabbitMQ: deliveries',
      cases: [
        ...wishes(administration),
        ...counting(administration),
        ...handover(),
        ...foreignEvents(administration),
      ],
    },
    { title: 'RabbitMQ: faults', cases: faults(administration) },
  ]
}
