import { bridgeSections } from '../bridge/index.ts'
import { startBroker } from '../brokers/index.ts'
import type { OpenHarness } from '../open-harness.ts'
import { open as openMemory } from './memory.ts'

/** RabbitMQ documentation, "Management Plugin". */
const managementPort = 15_672

/** What bridges promise between real brokers. Those that die are missed soon, and polls end soon: soon enough for a test. */
export async function open(): Promise<OpenHarness> {
  const [redis, kafka, rabbitmq, sqs] = await Promise.all([
    startBroker('redis'),
    // Six seconds is the least a member may ask for by default.
    startBroker('kafka', { configuration: { 'group.min.session.timeout.ms': '1000' } }),
    startBroker('rabbitmq', {
      publish: [managementPort],
      files: [{ target: '/etc/rabbitmq/enabled_plugins', content: '[rabbitmq_management].\n' }],
      configuration: { 'management_agent.disable_metrics_collector': 'true' },
    }),
    startBroker('sqs'),
  ])
  const managementUrl = `http://guest:guest@${rabbitmq.host}:${rabbitmq.portOf(managementPort)}`
  const natives = {
    redis: {},
    kafka: { sessionTimeout: '2s', requestTimeout: '5s', connectTimeout: '3s', retryPartitions: 2 },
    rabbitmq: { heartbeat: '3s', managementUrl },
    sqs: { pollWait: '1s', requestTimeout: '8s', fanOutRefresh: '1s' },
  }
  const { harness, close } = await openMemory('bridge-own')
  const brokers = [redis, kafka, rabbitmq, sqs]
  return {
    harness: { ...harness, name: 'bridge-own', parallel: 2 },
    sections: bridgeSections({
      redis: { name: 'redis', url: redis.url, native: { redis: natives.redis }, broker: redis },
      kafka: { name: 'kafka', url: kafka.url, native: { kafka: natives.kafka }, broker: kafka },
      rabbitmq: {
        name: 'rabbitmq',
        url: rabbitmq.url,
        native: { rabbitmq: natives.rabbitmq },
        broker: rabbitmq,
      },
      sqs: { name: 'sqs', url: sqs.url, native: { sqs: natives.sqs }, broker: sqs },
    }),
    async close() {
      await close()
      await Promise.all(brokers.map((broker) => broker.stop()))
    },
  }
}
