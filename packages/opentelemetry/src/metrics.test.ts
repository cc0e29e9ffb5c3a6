import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { defineMessage, defineTopic, PermanentError } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { instrument } from './index.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Placed = defineMessage(orders, 'order.placed', { schema: z.object({ n: z.number() }) })

class Collected extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}

  /** The points of each metric: attributes and value, or count. */
  async read(): Promise<Map<string, (readonly [Record<string, unknown>, unknown])[]>> {
    const { resourceMetrics } = await this.collect()
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    return new Map(
      metrics.map(({ descriptor, dataPoints }) => [
        descriptor.name,
        dataPoints.map(({ attributes, value }) => [
          attributes,
          typeof value === 'object' ? value.count : value,
        ]),
      ]),
    )
  }
}

test('the metrics of the conventions, and those in their style', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const reader = new Collected()
  const outbox = { stats: async () => ({ waiting: 3, parked: 0, oldestAgeMs: 2000 }) }
  instrument(kit.bus, {
    traces: false,
    meterProvider: new MeterProvider({ readers: [reader] }),
    topics: [orders],
    outboxes: { shop: outbox },
  })
  await kit.bus
    .consumer('billing')
    .on(Placed, ({ data: { n } }) => {
      if (n === 2) throw new PermanentError('no')
    })
    .start()
  await kit.bus.producer().send(Placed, { n: 1 })
  await kit.bus.producer().send(Placed, { n: 2 })
  await kit.idle()
  const metrics = await reader.read()
  const system = { 'messaging.system': 'memory' }
  const sent = { ...system, 'messaging.destination.name': 'orders' }
  const group = { ...sent, 'messaging.consumer.group.name': 'billing' }
  const operation = (name: string, type: string) => ({
    'messaging.operation.name': name,
    'messaging.operation.type': type,
  })
  expect(Object.fromEntries(metrics)).toMatchObject({
    'messaging.client.sent.messages': [[{ ...sent, ...operation('send', 'send') }, 2]],
    'messaging.client.consumed.messages': [[{ ...group, ...operation('process', 'process') }, 2]],
    'messaging.client.operation.duration': [
      [{ ...sent, ...operation('send', 'send') }, 2],
      [{ ...group, ...operation('ack', 'settle') }, 1],
      [{ ...group, ...operation('dead-letter', 'settle') }, 1],
    ],
    'messaging.process.duration': [
      [{ ...group, ...operation('process', 'process') }, 1],
      [{ ...group, ...operation('process', 'process'), 'error.type': 'permanent' }, 1],
    ],
    'messaging.waybill.dead_lettered.messages': [[{ ...group, 'messaging.waybill.reason': 'permanent' }, 1]],
    'messaging.waybill.connection.up': [[system, 1]],
    'messaging.waybill.group.dead': [[group, 1]],
    'messaging.waybill.outbox.oldest.age': [[{ ...system, 'messaging.waybill.outbox': 'shop' }, 2]],
  })
})
