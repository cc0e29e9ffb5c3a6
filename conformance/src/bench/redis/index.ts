import type { Section } from '../../case/case.ts'
import type { RunningBroker } from '../brokers/index.ts'
import { access } from './access.ts'
import { durability } from './durability.ts'
import { marks } from './marks.ts'
import { notices } from './notices.ts'
import { ownership } from './ownership.ts'
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
    { title: 'Access', cases: access(servers) },
  ]
}
