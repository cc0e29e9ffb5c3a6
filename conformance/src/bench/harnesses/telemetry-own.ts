import { readFileSync } from 'node:fs'
import { startBroker } from '../brokers/index.ts'
import type { OpenHarness } from '../open-harness.ts'
import { telemetrySections } from '../telemetry/index.ts'
import { open as openMemory } from './memory.ts'

const rules = (name: string) => ({
  target: `/etc/prometheus/${name}`,
  content: readFileSync(
    new URL(`../../../../packages/prometheus/operations/${name}`, import.meta.url),
    'utf8',
  ),
})

/** What telemetry promises: a trace over real brokers in a real collector, and metrics in a real Prometheus. */
export async function open(): Promise<OpenHarness> {
  const [rabbitmq, kafka, redis, collector, prometheus] = await Promise.all([
    startBroker('rabbitmq'),
    startBroker('kafka'),
    startBroker('redis'),
    startBroker('otelcol'),
    startBroker('prometheus', { files: [rules('alerts.yml'), rules('alerts.test.yml')] }),
  ])
  const { harness, close } = await openMemory('telemetry-own')
  const servers = { rabbitmq, kafka, redis, collector, prometheus }
  return {
    harness: { ...harness, name: 'telemetry-own' },
    sections: telemetrySections(servers),
    async close() {
      await close()
      await Promise.all(Object.values(servers).map((server) => server.stop()))
    },
  }
}
