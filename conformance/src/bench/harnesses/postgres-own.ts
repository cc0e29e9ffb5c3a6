import { startBroker } from '../brokers/index.ts'
import type { OpenHarness } from '../open-harness.ts'
import { postgresSections } from '../postgres/index.ts'
import { open as openMemory } from './memory.ts'

/** What inbox, outbox and relay promise on a real PostgreSQL, over real brokers. */
export async function open(): Promise<OpenHarness> {
  const [postgres, rabbitmq, kafka] = await Promise.all([
    // Processes are killed, the machine is not: so nothing waits for the disk.
    startBroker('postgres', { configuration: { max_connections: '200', fsync: 'off' } }),
    startBroker('rabbitmq'),
    startBroker('kafka'),
  ])
  const { harness, close } = await openMemory('postgres-own')
  return {
    harness: { ...harness, name: 'postgres-own', parallel: 2 },
    sections: postgresSections({ postgres, rabbitmq: rabbitmq.url, kafka: kafka.url }),
    async close() {
      await close()
      await Promise.all([postgres.stop(), rabbitmq.stop(), kafka.stop()])
    },
  }
}
