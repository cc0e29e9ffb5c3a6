import type { Section } from '../../case/case.ts'
import type { RunningBroker } from '../brokers/index.ts'
import { access } from './access.ts'
import { bounds } from './bounds.ts'
import { durability } from './durability.ts'
import { faults } from './faults.ts'
import { handover } from './handover.ts'
import { marks } from './marks.ts'
import { notices } from './notices.ts'
import { overTls } from './over-tls.ts'
import { ownership } from './ownership.ts'
import { rest } from './rest.ts'
import { retention } from './retention.ts'
import { Servers } from './servers.ts'

/** What the Redis adapter promises beyond the contract. */
export function redisSections(broker: RunningBroker): readonly Section[] {
  const servers = new Servers(broker)
  return [
    { title: 'Retention', cases: retention },
    { title: 'Ownership', cases: ownership },
    { title: 'Notices', cases: notices },
    { title: 'Marks, deduplication, scripts', cases: marks },
    { title: 'Durability and failover', cases: durability(servers) },
    { title: 'Handover and order', cases: handover },
    { title: 'Bounded calls', cases: bounds },
    { title: 'At rest', cases: rest },
    { title: 'Faults and limits', cases: faults(servers, broker) },
    { title: 'Access', cases: [...access(servers), ...overTls(servers)] },
  ]
}
