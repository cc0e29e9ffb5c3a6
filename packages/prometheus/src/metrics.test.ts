import { createServer } from 'node:http'
import { connect, defineMessage, defineTopic, fixed, PermanentError, SkipMessage } from '@waybill/core'
import { createTestBus } from '@waybill/core/testing'
import { defineJob, memoryJobStore, openJobs } from '@waybill/jobs'
import { Registry } from 'prom-client'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { type Metrics, prometheusMetrics } from './index.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const keyed = defineTopic('keyed', { ordered: true, groups: ['billing'] })
const schema = z.object({ n: z.number() })
const Placed = defineMessage(orders, 'order.placed', { schema })
const Moved = defineMessage(keyed, 'order.moved', { schema, key: ({ n }) => String(n) })

/** The samples, without those of buckets and sums. */
async function samples({ registry }: Metrics): Promise<string[]> {
  const lines = (await registry.metrics()).split('\n')
  return lines.filter((line) => line.startsWith('waybill_') && !/_(bucket|sum)\b/.test(line))
}

test('what is sent and what becomes of it is counted', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const metrics = prometheusMetrics(kit.bus, { labels: { service: 'shop' } })
  await kit.bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1s') } })
    .on(Placed, ({ data: { n } }, { attempt }) => {
      if (n === 2) throw new PermanentError('no')
      if (n === 3) throw new SkipMessage('a test')
      if (n === 4 && attempt === 1) throw new TypeError('once')
    })
    .start()
  const producer = kit.bus.producer()
  for (const n of [1, 2, 3, 4]) await producer.send(Placed, { n })
  await producer.send(Placed, { n: 5 }, { signal: AbortSignal.abort() }).catch(() => {})
  await kit.idle()
  await kit.advance('2s')
  await kit.idle()
  const of = 'topic="orders",group="billing"'
  const lines = await samples(metrics)
  for (const line of [
    'waybill_sent_messages_total{topic="orders",service="shop"} 4',
    'waybill_sent_messages_total{topic="orders",error="aborted",service="shop"} 1',
    `waybill_consumed_messages_total{${of},service="shop"} 5`,
    `waybill_process_duration_seconds_count{${of},service="shop"} 3`,
    `waybill_process_duration_seconds_count{${of},error="permanent",service="shop"} 1`,
    `waybill_process_duration_seconds_count{${of},error="TypeError",service="shop"} 1`,
    `waybill_retried_messages_total{${of},error="TypeError",service="shop"} 1`,
    `waybill_dead_lettered_messages_total{${of},reason="permanent",service="shop"} 1`,
    `waybill_skipped_messages_total{${of},reason="skipped",service="shop"} 1`,
    'waybill_operation_duration_seconds_count{operation="send",topic="orders",service="shop"} 4',
  ])
    expect(lines).toContain(line)
})

test('groups, consumers and outboxes are counted when they are asked for, and not more often than allowed', async () => {
  await using bus = await connect({ url: 'memory:', topics: [orders, keyed], console: false })
  let counts = 0
  const outbox = {
    stats: async () => {
      counts += 1
      return { waiting: 3, parked: 1, oldestAgeMs: 4500, held: 2 }
    },
  }
  const metrics = prometheusMetrics(bus, {
    topics: [orders, keyed],
    outboxes: { shop: outbox },
    maxAge: '1h',
  })
  const retried = new Promise((resolve) => bus.on('retried', resolve))
  const consumer = bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1h') }, concurrency: 1 })
    .on(Moved, () => {
      throw new Error('later')
    })
  await consumer.start()
  await bus.producer().send(Placed, { n: 1 })
  await bus.producer().send(Moved, { n: 1 })
  await retried
  const lines = await samples(metrics)
  for (const line of [
    'waybill_connection_up 1',
    'waybill_consumers{topic="keyed",group="billing",state="running"} 1',
    'waybill_consumers_held_keys{topic="keyed",group="billing"} 1',
    'waybill_group_up{topic="orders",group="billing"} 1',
    'waybill_group_waiting{topic="orders",group="billing"} 1',
    'waybill_group_dead{topic="orders",group="billing"} 0',
    'waybill_outbox_waiting{outbox="shop"} 3',
    'waybill_outbox_oldest_age_seconds{outbox="shop"} 4.5',
  ])
    expect(lines).toContain(line)
  expect(lines.join('\n')).toMatch(/^waybill_group_oldest_age_seconds\{topic="orders",group="billing"\} /m)
  await samples(metrics)
  expect(counts).toBe(1)
})

test('what does not answer is absent, is not asked twice, and holds up nothing', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  let asked = 0
  const hanging = {
    stats: () => {
      asked += 1
      return new Promise<never>(() => {})
    },
  }
  const failing = { stats: () => Promise.reject(new Error('no database')) }
  const metrics = prometheusMetrics(kit.bus, {
    topics: [orders],
    outboxes: { hanging, failing },
    timeout: 1,
    maxAge: 0,
  })
  await samples(metrics)
  const lines = await samples(metrics)
  expect(lines).toContain('waybill_outbox_up{outbox="hanging"} 0')
  expect(lines).toContain('waybill_outbox_up{outbox="failing"} 0')
  expect(lines.filter((line) => line.startsWith('waybill_outbox_waiting'))).toEqual([])
  expect(asked).toBe(1)
})

test('what the process itself knows of its consumers is there while the broker hangs', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  await kit.bus
    .consumer('billing')
    .on(Placed, () => {})
    .start()
  kit.bus.health = () => new Promise<never>(() => {})
  const lines = await samples(prometheusMetrics(kit.bus, { timeout: 1 }))
  expect(lines).toContain('waybill_connection_up 0')
  expect(lines).toContain('waybill_consumers{topic="orders",group="billing",state="running"} 1')
})

test('reasons of users’ own are one', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const metrics = prometheusMetrics(kit.bus)
  for (let n = 0; n < 3; n += 1) await kit.bus.producer().send(Placed, { n })
  let left = 3
  for await (const { deadLetter } of kit.bus.receive(Placed, { group: 'billing' })) {
    await deadLetter(`order ${left}`)
    left -= 1
    if (left === 0) break
  }
  const letters = (await samples(metrics)).filter((line) => line.startsWith('waybill_dead_lettered'))
  expect(letters).toEqual([
    'waybill_dead_lettered_messages_total{topic="orders",group="billing",reason="other"} 3',
  ])
})

test('they are served for node:http and for fetch, whatever else is in the registry', async () => {
  await using kit = await createTestBus()
  const registry = new Registry()
  const metrics = prometheusMetrics(kit.bus, { registry })
  const server = createServer(metrics.node)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/metrics`
    const got = await fetch(url)
    expect(got.headers.get('content-type')).toBe(registry.contentType)
    expect(await got.text()).toContain('waybill_connection_up 1')
    expect((await fetch(url, { method: 'POST' })).status).toBe(405)
    expect(await (await fetch(url, { method: 'HEAD' })).text()).toBe('')
    expect((await metrics.fetch(new Request(url))).status).toBe(200)
    registry.setDefaultLabels({})
    registry.registerMetric({ name: 'broken', get: () => Promise.reject(new Error('no value')) } as never)
    const failed = await fetch(url)
    expect([failed.status, await failed.text()]).toEqual([
      500,
      'The metrics could not be collected: no value\n',
    ])
  } finally {
    server.close()
  }
})

test('options are checked as a whole', async () => {
  await using kit = await createTestBus()
  const wrong = JSON.parse('{ "registry": {}, "labels": { "a-b": "c" }, "timeout": "2h" }')
  expect(() => prometheusMetrics(kit.bus, wrong)).toThrow(/registry: .*labels.a-b: .*timeout: /s)
})

test('jobs are measured with a bus, and without one', async () => {
  const Render = defineJob('render', { input: schema, retry: { attempts: 2, backoff: () => 1 } })
  for (const over of ['bus', 'store'] as const) {
    await using kit = await createTestBus()
    const bus = over === 'bus' ? kit.bus : undefined
    const store = memoryJobStore({ clock: kit.clock })
    await using jobs = openJobs({ ...(bus !== undefined && { bus }), store })
    const metrics = prometheusMetrics(bus, { jobs: { main: jobs }, maxAge: 0 })
    await jobs
      .worker()
      .handle(Render, ({ data: { n } }, { attempt }) => {
        if (n === 2 && attempt === 1) throw new TypeError('once')
        if (n === 5) throw new SkipMessage('there is no skipping of jobs')
      })
      .start()
    for (const n of [1, 2, 5]) await jobs.add(Render, { n })
    await expect(jobs.add(Render, { n: 3 }, { id: '' })).rejects.toThrow()
    for (const n of [4, 4]) await jobs.add(Render, { n }, { delay: '1h', id: 'later' })
    await vi.waitFor(async () => {
      await kit.advance('1s')
      expect(await jobs.counts()).toMatchObject({ completed: 2, failed: 1 })
    })
    const lines = await samples(metrics)
    for (const line of [
      'waybill_jobs_added_total{job="render"} 4',
      'waybill_jobs_added_total{job="render",error="invalid-options"} 1',
      'waybill_jobs_process_duration_seconds_count{job="render"} 2',
      'waybill_jobs_process_duration_seconds_count{job="render",error="TypeError"} 1',
      'waybill_jobs_process_duration_seconds_count{job="render",error="skip"} 2',
      'waybill_jobs_up{jobs="main"} 1',
      'waybill_jobs_stored{jobs="main",state="completed"} 2',
      'waybill_jobs_stored{jobs="main",state="delayed"} 1',
      'waybill_consumers{topic="jobs.render",group="workers",state="running"} 1',
    ])
      expect(lines).toContain(line)
    expect(lines.some((line) => line.startsWith('waybill_connection_up'))).toBe(over === 'bus')
  }
})

test('a store that is away is told, and nothing to measure is refused', async () => {
  const jobs = {
    counts: () => Promise.reject(new Error('no database')),
    workerHealth: () => [],
    use: () => undefined,
  }
  const lines = await samples(prometheusMetrics(undefined, { jobs: { main: jobs } }))
  expect(lines).toContain('waybill_jobs_up{jobs="main"} 0')
  expect(lines.filter((line) => line.startsWith('waybill_jobs_stored'))).toEqual([])
  expect(() => prometheusMetrics(undefined, {})).toThrow('bus: expected a bus, or jobs or outboxes')
})
