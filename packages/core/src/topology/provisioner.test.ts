import { expect, test } from 'vitest'
import { stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Topology } from '../driver.ts'
import { defineTopic } from '../messages/topic.ts'
import { Provisioner, type ProvisionMode } from './provisioner.ts'

/** The groups of each topology that was applied, by name. */
function recording(mode: ProvisionMode = 'create') {
  const applied: Topology['topics'][number]['groups'][] = []
  const driver = stubDriver({
    apply: async ({ topics }) => {
      applied.push(...topics.map(({ groups }) => groups))
      return { created: [], missing: [] }
    },
  })
  const names = () => applied.map((groups) => groups.map(({ name }) => name))
  return { provisioner: new Provisioner(driver, mode), applied, names }
}

test('two definitions of one topic are one topic with the groups of both', async () => {
  const { provisioner, names } = recording()
  const mine = defineTopic('orders', { groups: ['billing'] })
  const yours = defineTopic('orders', { groups: ['shipping'] })
  await provisioner.topic(mine)
  expect(provisioner.isReady(mine)).toBe(true)
  provisioner.learn(yours)
  expect(provisioner.isReady(mine)).toBe(false)
  await provisioner.topic(mine)
  expect(provisioner.isReady(yours)).toBe(true)
  expect(names()).toEqual([['billing'], ['billing', 'shipping']])
})

test('a definition that declares nothing new leaves a topic ready', async () => {
  const { provisioner, names } = recording()
  await provisioner.topic(defineTopic('orders', { groups: ['billing', 'shipping'] }))
  const less = defineTopic('orders', { groups: ['billing'] })
  provisioner.learn(less)
  expect(provisioner.isReady(less)).toBe(true)
  await provisioner.topic(defineTopic('orders'))
  expect(names()).toEqual([['billing', 'shipping']])
})

test('patterns of a group are merged, and a name alone wishes nothing', async () => {
  const { provisioner, applied } = recording()
  const group = (types: readonly string[]) => ({ groups: [{ name: 'billing', types }] })
  await provisioner.topics([
    defineTopic('orders', { groups: ['billing'] }),
    defineTopic('orders', group(['order.paid'])),
    defineTopic('orders', group(['order.sent'])),
  ])
  expect(applied).toEqual([
    [
      {
        name: 'billing',
        types: ['#', 'order.paid', 'order.sent'],
        wishes: ['order.paid', 'order.sent'],
        from: 'latest',
      },
    ],
  ])
})

test('a group that a consumer brings comes with all that is declared', async () => {
  const { provisioner, names } = recording()
  provisioner.learn(defineTopic('orders', { groups: ['billing'] }))
  const group = { name: 'audit', types: ['#'], wishes: ['#'], from: 'latest' } as const
  const { signal } = new AbortController()
  await provisioner.subscribed(defineTopic('orders', { groups: ['shipping'] }), group, signal)
  expect(names()).toEqual([['billing', 'shipping', 'audit']])
})

test('what becomes known while the topology is applied is applied after it', async () => {
  const { provisioner, names } = recording()
  const mine = defineTopic('orders', { groups: ['billing'] })
  const applying = provisioner.topic(mine)
  provisioner.learn(defineTopic('orders', { groups: ['shipping'] }))
  await applying
  expect(provisioner.isReady(mine)).toBe(false)
  await provisioner.topic(mine)
  expect(names()).toEqual([['billing'], ['billing', 'shipping']])
})

test.each([
  ['ordered', { ordered: true }, /ordered: false .*ordered: true/],
  ['partitions', { partitions: 3 }, /partitions: 8 .*partitions: 3/],
  ['native', { native: { kafka: { replicas: 3 } } }, /native: \{\} .*native: \{"kafka"/],
])('definitions that differ in %s are refused, naming both', (_setting, options, reason) => {
  for (const mode of ['create', 'none'] as const) {
    const { provisioner } = recording(mode)
    provisioner.learn(defineTopic('orders'))
    expect(() => provisioner.learn(defineTopic('orders', options))).toThrow(reason)
  }
})

test('topics that are made up as one goes do not add up', async () => {
  const { provisioner } = recording()
  const first = defineTopic('topic-0')
  await provisioner.topic(first)
  for (let n = 1; n <= 10_000; n += 1) provisioner.learn(defineTopic(`topic-${n}`))
  expect(provisioner.isReady(first)).toBe(false)
  await provisioner.topic(first)
  expect(provisioner.isReady(first)).toBe(true)
})

test('more topics at once than are remembered are each applied once', async () => {
  let applied = 0
  const driver = stubDriver({
    apply: async () => {
      applied += 1
      await new Promise((resolve) => setImmediate(resolve))
      return { created: [], missing: [] }
    },
  })
  const provisioner = new Provisioner(driver, 'create')
  const topics = Array.from({ length: 10_100 }, (_, n) => defineTopic(`orders-${n}`))
  await Promise.all(
    topics.map(async (topic) => {
      provisioner.learn(topic)
      while (!provisioner.isReady(topic) && applied < 30_000) await provisioner.topic(topic)
    }),
  )
  expect(applied).toBe(topics.length)
})

test('what is missing is asked of the broker in every mode, without making or remembering anything', async () => {
  const asked: unknown[] = []
  const driver = stubDriver({
    apply: async ({ topics }, mode) => {
      asked.push([mode, topics.map(({ topic, groups }) => [topic.name, ...groups.map(({ name }) => name)])])
      return { created: [], missing: ['queue orders:billing'] }
    },
  })
  for (const mode of ['create', 'verify', 'none'] as const) {
    const provisioner = new Provisioner(driver, mode)
    const orders = defineTopic('orders', { groups: ['billing'] })
    const same = defineTopic('orders', { groups: ['shipping'] })
    const report = await provisioner.missing([orders, same])
    expect(report.missing).toEqual(['queue orders:billing'])
    expect(provisioner.isReady(orders)).toBe(mode === 'none')
  }
  expect(asked).toEqual(Array.from({ length: 3 }, () => ['verify', [['orders', 'billing', 'shipping']]]))
  await expect(new Provisioner(driver, 'none').missing([])).resolves.toEqual({ created: [], missing: [] })
})
