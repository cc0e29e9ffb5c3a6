// The policies of the README allow what each role asks for, and nothing that none does.
import { readFileSync } from 'node:fs'
import type { Driver, OutboundMessage, TopicSpec, Topology } from '@waybill/core/driver'
import { beforeAll, expect, test } from 'vitest'
import { type Asked, ServiceStub, topicOf } from './service-stub.fixture.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const policies = [...readme.matchAll(/```json\n(?<policy>[^`]*)```/g)].map(({ groups }) =>
  actionsOf(JSON.parse(groups?.policy ?? '')),
)

function actionsOf(policy: { readonly Statement: readonly { readonly Action: readonly string[] }[] }) {
  return policy.Statement.flatMap(({ Action }) => Action).sort()
}

/** What a request has to be allowed (Service Authorization Reference, "Actions defined by Amazon SQS", "… Amazon SNS"). */
function permissionsFor({ action, input }: Asked): string[] {
  const isTopic = 'Action' in input
  const permission = `${isTopic ? 'sns' : 'sqs'}:${action.replace(/Batch$/, '')}`
  const tags = isTopic ? 'sns:TagResource' : 'sqs:TagQueue'
  return /^Create/.test(action) ? [permission, tags] : [permission]
}

const plain = topicOf('plain', ['billing'])
const fanned = topicOf('fanned', ['billing', 'audit'])

function topologyOf(types: readonly string[]): Topology {
  const groupOf = ({ name }: { readonly name: string }) => ({
    name,
    types,
    wishes: types,
    from: 'latest' as const,
  })
  return { topics: [plain, fanned].map((topic) => ({ topic, groups: topic.groups.map(groupOf) })) }
}

const topology = topologyOf(['order.#'])

function messageOf(topic: TopicSpec): OutboundMessage {
  const attributes = { id: 'one', source: 'test', type: 'order.created' }
  const rest = { headers: {}, delayMs: 0, key: undefined, priority: undefined, expiresAt: undefined }
  return {
    topic,
    type: 'order.created',
    id: 'one',
    body: Buffer.from('{}'),
    contentType: 'text/json',
    attributes,
    ...rest,
  }
}

async function produce(driver: Driver): Promise<void> {
  await driver.apply(topology, 'verify')
  for (const topic of [plain, fanned]) await driver.publish([messageOf(topic)])
}

async function consume(driver: Driver): Promise<void> {
  await driver.apply(topology, 'verify')
  const subscription = await driver.subscribe({
    topic: plain,
    group: { name: 'billing', types: ['order.#'], wishes: [], from: 'latest' },
    prefetch: 3,
    maxPrefetch: 3,
    leaseMs: 30_000,
    broadcast: false,
  })
  const [acked, retried, given] = await subscription.receive(3, new AbortController().signal)
  if (acked === undefined || retried === undefined || given === undefined)
    throw new Error('Too few deliveries')
  await subscription.extend([acked], 30_000)
  await subscription.settle([
    { delivery: acked, verdict: { kind: 'ack' } },
    { delivery: retried, verdict: { kind: 'retry', delayMs: 1000, headers: {} } },
    { delivery: given, verdict: { kind: 'dead-letter', headers: {} } },
  ])
  await subscription.close()
  const letters = driver.deadLetters(plain, 'billing')
  await letters.count()
  await letters.replay('all')
  await letters.discard('all')
  await driver.stats(plain, 'billing')
}

const used = { producer: new Set<string>(), consumer: new Set<string>(), provisioner: new Set<string>() }

beforeAll(async () => {
  let receives = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      receives += 1
      const ids = receives === 1 ? ['one', 'two', 'three'] : []
      return { Messages: ids.map((id) => ({ MessageId: id, ReceiptHandle: id, Body: '{}' })) }
    },
  })
  const roles = {
    async provisioner(driver: Driver) {
      await driver.apply(topology, 'create')
      await driver.apply(topologyOf(['order.#', 'invoice.#']), 'create')
    },
    producer: produce,
    consumer: consume,
  }
  // The others need what the provisioner makes.
  for (const role of ['provisioner', 'producer', 'consumer'] as const) {
    const before = service.asked.length
    const driver = await service.connect()
    await roles[role](driver)
    await driver.close()
    for (const each of service.asked.slice(before).flatMap(permissionsFor)) used[role].add(each)
  }
})

test('the producer is allowed what it asks for', () => {
  expect([...used.producer].sort()).toEqual(policies[0])
})

test('the consumer is allowed what it asks for', () => {
  expect([...used.consumer].sort()).toEqual(policies[1])
})

test('the provisioner is allowed, beside what the others are, what it asks for', () => {
  const others = new Set([...(policies[0] ?? []), ...(policies[1] ?? [])])
  const own = [...used.provisioner].filter((permission) => !others.has(permission))
  expect(own.sort()).toEqual(policies[2])
})
