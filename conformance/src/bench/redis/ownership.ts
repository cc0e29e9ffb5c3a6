import assert from 'node:assert/strict'
import type { Topic } from '@waybill/core'
import {
  type Clock,
  type Delivery,
  type Driver,
  type OutboundMessage,
  parseBrokerUrl,
  type Subscription,
  systemClock,
} from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { sources } from './keys.ts'
import { consumerNames, plainly } from './plain-client.ts'

const leaseMs = 500
const group = { name: 'members', types: ['#'], wishes: [], from: 'latest' } as const

/** The driver itself, without core, so that a member can be made to sleep. */
async function driverOf(context: CaseContext, clock: Clock): Promise<Driver> {
  const { adapter, connection } = context.harness
  const driver = await adapter.connect(parseBrokerUrl(connection.url), {
    native: connection.native?.[adapter.name],
    instance: context.unique('driver'),
    clock,
    signal: new AbortController().signal,
    emit: () => undefined,
  })
  context.defer(() => driver.close())
  return driver
}

function join(driver: Driver, topic: Topic): Promise<Subscription> {
  return driver.subscribe({ topic, group, prefetch: 100, maxPrefetch: 100, leaseMs, broadcast: false })
}

const messageOf = (topic: Topic, n: number): OutboundMessage => ({
  ...{ topic, type: 'number.sent', id: `m-${n}`, key: 'only', body: Buffer.from(String(n)) },
  ...{ contentType: 'text/plain', attributes: {}, headers: {} },
  ...{ delayMs: 0, priority: undefined, expiresAt: undefined },
})

const numbersOf = (deliveries: readonly Delivery[]) =>
  deliveries.map(({ body }) => Number(Buffer.from(body).toString()))

/** Receives and acks until there are `count`; what else there is to the member goes on meanwhile. */
async function take(context: CaseContext, member: Subscription, count: number): Promise<readonly number[]> {
  const numbers: number[] = []
  const signal = new AbortController().signal
  const loop = async () => {
    while (numbers.length < count) {
      const deliveries = await member.receive(100, signal)
      await member.settle(deliveries.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
      numbers.push(...numbersOf(deliveries))
    }
  }
  await context.within(`${count} deliveries`, loop())
  return numbers
}

export const ownership: readonly Case[] = [
  {
    number: 202,
    part: 'a',
    title: 'A member that slept through its lease reads nothing more of its partitions, and settles nothing',
    async run(context) {
      const topic = context.topic({ ordered: true, partitions: 2 })
      const startedAt = Date.now()
      // To it no time passes, so it has no reason to ask whether it still owns anything.
      const asleep = await driverOf(context, { ...systemClock, now: () => startedAt })
      const awake = await driverOf(context, systemClock)
      await asleep.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const sleeper = await join(asleep, topic)
      const lost: Delivery[] = []
      sleeper.onLost((deliveries) => lost.push(...deliveries))
      await awake.publish([0, 1, 2, 3, 4].map((n) => messageOf(topic, n)))
      const signal = new AbortController().signal
      let inHand: readonly Delivery[] = []
      await context.eventually('the first is in hand', async () => {
        inHand = await sleeper.receive(1, signal)
        return inHand.length > 0
      })
      assert.deepEqual(numbersOf(inHand), [0])

      const successor = await join(awake, topic)
      assert.deepEqual(await take(context, successor, 5), [0, 1, 2, 3, 4], 'the successor has all, in order')
      await awake.publish([5, 6].map((n) => messageOf(topic, n)))
      assert.deepEqual(await sleeper.receive(100, signal), [], 'its token is stale')
      assert.deepEqual(lost, [])
      const [delivery] = inHand
      assert.ok(delivery)
      await sleeper.settle([{ delivery, verdict: { kind: 'dead-letter', headers: {} } }])
      assert.equal(await awake.deadLetters(topic, group.name).count(), 0, 'the delivery was not its any more')
      assert.deepEqual(await take(context, successor, 2), [5, 6])
    },
  },
  {
    number: 202,
    part: 'b',
    title: 'Members share the partitions evenly, and those of one that leaves go to the others',
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const shares = async () => {
        const { partitions = [] } = await stage.bus.group(stage.topic, stage.group).stats()
        const counts = new Map<string | undefined, number>()
        for (const { owner } of partitions) counts.set(owner, (counts.get(owner) ?? 0) + 1)
        return counts.has(undefined) ? [] : [...counts.values()].sort()
      }
      const shared = (...expected: number[]) =>
        context.eventually(`shares of ${expected}`, async () => String(await shares()) === String(expected))
      const join = async () => stage.consume(context.recorder(), { bus: await context.bus() })
      await join()
      await shared(8)
      const second = await join()
      await shared(4, 4)
      await join()
      await shared(2, 3, 3)
      await second.stop()
      await shared(4, 4)
    },
  },
  {
    number: 203,
    title: 'No name of a consumer outlives it, whether it stops or is killed with messages in hand',
    needs: ['processes'],
    async run(context) {
      const stage = await context.stage()
      const names = () =>
        plainly(context.harness.connection.url, (client) =>
          consumerNames(client, sources(stage.topic, stage.group), stage.group),
        )
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency: 4 },
        behaviour: { kind: 'hang' },
      })
      await context.eventually('the child is ready', () => child.of('ready').length === 1)
      const sent = await stage.send(3)
      await context.eventually('the child has them', () => child.of('delivered').length === sent.length)
      assert.equal((await names()).size, 1)
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder)
      await child.kill()
      await context.exactly(recorder, sent)
      await context.eventually('the name of the dead is gone', async () => (await names()).size === 1)
      await consumer.stop()
      assert.equal((await names()).size, 0)
    },
  },
]
