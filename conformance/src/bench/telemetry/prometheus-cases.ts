import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { prometheusMetrics } from '@waybill/prometheus'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import type { RunningBroker } from '../brokers/index.ts'
import type { TelemetryServers } from './servers.ts'

export const prometheusCases = ({ prometheus, redis }: TelemetryServers): readonly Case[] => [
  {
    number: 302,
    title: 'The alert rules are valid, and fire when they should',
    async run() {
      for (const check of [
        ['promtool', 'check', 'rules', '/etc/prometheus/alerts.yml'],
        ['promtool', 'test', 'rules', '/etc/prometheus/alerts.test.yml'],
      ]) {
        const { exitCode, output } = await prometheus.exec(check)
        assert.equal(exitCode, 0, output)
      }
    },
  },
  {
    number: 303,
    title: 'Prometheus scrapes what is measured, and its rules see a dead letter',
    timeoutMs: 180_000,
    async run(test) {
      const topic = defineTopic(test.unique('measured'), { groups: ['billing'] })
      const Placed = defineMessage(topic, 'order.placed', { schema: z.object({ n: z.number() }) })
      const bus = await connect({ url: redis.url, topics: [topic], timeout: '1m' })
      test.defer(() => bus.close())
      const metrics = prometheusMetrics(bus, { topics: [topic], maxAge: '1s', timeout: 500 })
      const server = createServer(metrics.node)
      await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
      test.defer(() => server.close())
      await bus
        .consumer('billing', { retry: { attempts: 1 } })
        .on(Placed, ({ data: { n } }) => {
          if (n === 2) throw new Error('no')
        })
        .start()
      const address = server.address()
      await target(prometheus, typeof address === 'object' && address !== null ? address.port : 0)
      for (const n of [1, 2, 3]) await bus.producer().send(Placed, { n })
      const wanted = [
        [`waybill_sent_messages_total{topic="${topic.name}"}`, 3],
        [`waybill_group_dead{topic="${topic.name}",group="billing"}`, 1],
        [`ALERTS{alertname="WaybillDeadLetters",topic="${topic.name}"}`, 1],
      ] as const
      for (const [query, value] of wanted)
        await test.eventually(
          `${query} is ${value}`,
          async () => (await sampleOf(prometheus, query)) === value,
        )
      const checked = await prometheus.exec([
        'sh',
        '-c',
        `printf '%s' "$0" | promtool check metrics`,
        await metrics.registry.metrics(),
      ])
      assert.equal(checked.exitCode, 0, checked.output)
    },
  },
]

/** Lets it scrape a port of this machine, which its container reaches by its gateway. */
async function target(prometheus: RunningBroker, port: number): Promise<void> {
  const script = `
set -eu
hex=$(while read -r _ to gateway _; do if [ "$to" = 00000000 ]; then echo "$gateway"; fi; done < /proc/net/route)
address=$(printf '%d.%d.%d.%d' "0x$(echo "$hex" | cut -c7-8)" "0x$(echo "$hex" | cut -c5-6)" "0x$(echo "$hex" | cut -c3-4)" "0x$(echo "$hex" | cut -c1-2)")
mkdir -p /prometheus/targets
printf '[{"targets":["%s:${port}"]}]' "$address" > /prometheus/targets/waybill.json`
  const { exitCode, output } = await prometheus.exec(['sh', '-c', script])
  assert.equal(exitCode, 0, output)
}

const answer = z.object({
  data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.coerce.number()]) })) }),
})

async function sampleOf({ url }: RunningBroker, query: string): Promise<number | undefined> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`)
  const { data } = answer.parse(await response.json())
  return data.result[0]?.value[1]
}
