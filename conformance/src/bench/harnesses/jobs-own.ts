import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { siblingModule } from '../../children/sibling-module.ts'
import { startBroker } from '../brokers/index.ts'
import { jobSections } from '../jobs/index.ts'
import type { OpenHarness } from '../open-harness.ts'
import { bundleInto } from '../programs/program.ts'
import { Servers as RedisServers } from '../redis/servers.ts'
import { open as openMemory } from './memory.ts'

/** What jobs promise over real brokers. Those that die are missed soon, and polls end soon: soon enough for a test. */
export async function open(): Promise<OpenHarness> {
  const [redis, kafka, rabbitmq, sqs, postgres] = await Promise.all([
    startBroker('redis'),
    // Six seconds is the least a member may ask for by default.
    startBroker('kafka', { configuration: { 'group.min.session.timeout.ms': '1000' } }),
    startBroker('rabbitmq'),
    startBroker('sqs'),
    // Processes are killed, the machine is not: so nothing waits for the disk.
    startBroker('postgres', { configuration: { max_connections: '200', fsync: 'off' } }),
  ])
  const { harness, close } = await openMemory('jobs-own')
  const folder = await mkdtemp(join(tmpdir(), 'waybill-jobs-'))
  // One for all cases.
  const program = bundleInto(folder, siblingModule(import.meta.url, '../jobs/job-program'))
  program.catch(() => {})
  const ends = {
    redis: { name: 'redis', url: redis.url, native: { redis: {} } },
    kafka: {
      name: 'kafka',
      url: kafka.url,
      native: { kafka: { sessionTimeout: '2s', requestTimeout: '5s', connectTimeout: '3s' } },
    },
    rabbitmq: { name: 'rabbitmq', url: rabbitmq.url, native: { rabbitmq: { heartbeat: '3s' } } },
    sqs: { name: 'sqs', url: sqs.url, native: { sqs: { pollWait: '1s', requestTimeout: '8s' } } },
  } as const
  return {
    harness: { ...harness, name: 'jobs-own', parallel: 3 },
    sections: jobSections({ ends, postgres, redis, redisServers: new RedisServers(redis) }, () => program),
    async close() {
      await close()
      await rm(folder, { recursive: true })
      await Promise.all([redis, kafka, rabbitmq, sqs, postgres].map((broker) => broker.stop()))
    },
  }
}
