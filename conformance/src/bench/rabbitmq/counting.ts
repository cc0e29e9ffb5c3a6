import assert from 'node:assert/strict'
import type { Delivery, Driver, Subscription, TopicSpec } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { numbered } from '../../fixtures/numbered.ts'
import type { Administration } from './administration.ts'
import { openDriver } from './wishes.ts'

const group = { name: 'billing', types: ['#'], wishes: [], from: 'latest' } as const

async function subscribe(driver: Driver, topic: TopicSpec): Promise<Subscription> {
  const request = { prefetch: 4, maxPrefetch: 4, leaseMs: 30_000, broadcast: false }
  return driver.subscribe({ topic, group, ...request })
}

async function receiveOne(context: CaseContext, subscription: Subscription): Promise<Delivery> {
  const signal = AbortSignal.timeout(context.pace(15_000))
  for (;;) {
    const [delivery] = await subscription.receive(1, signal)
    if (delivery !== undefined) return delivery
    assert.ok(!signal.aborted, 'nothing was delivered')
  }
}

export function counting(administration: Administration): readonly Case[] {
  const dieWith = async (context: CaseContext, topic: TopicSpec) => {
    const driver = await openDriver(context)
    const delivery = await receiveOne(context, await subscribe(driver, topic))
    // What the broker sees of a process that was killed.
    const native = driver.native()
    assert.ok(typeof native === 'object' && native !== null && 'consuming' in native)
    const { consuming } = native
    assert.ok(typeof consuming === 'object' && consuming !== null && 'connection' in consuming)
    const { connection } = consuming
    assert.ok(typeof connection === 'object' && connection !== null && 'stream' in connection)
    const { stream } = connection
    assert.ok(typeof stream === 'object' && stream !== null && 'destroy' in stream)
    assert.ok(typeof stream.destroy === 'function')
    // With an error: amqplib looks at nothing else, and everything would wait for its timeout.
    stream.destroy(new Error('The connection was cut'))
    await driver.close()
    return delivery
  }

  const sendOne = async (context: CaseContext, topic: ReturnType<CaseContext['topic']>) => {
    const bus = await context.bus({ topics: [topic] })
    await bus.producer().send(numbered(topic), { n: 1 }, { key: 'key' })
    await bus.close()
  }

  return [
    {
      number: 144,
      title: 'Releases, closed subscriptions and closed connections count no crash; lost connections do',
      async run(context) {
        for (const ordered of [false, true]) {
          const topic = context.topic({ ordered, partitions: 1, groups: [group.name] })
          await sendOne(context, topic)
          for (let round = 0; round < 20; round += 1) {
            const driver = await openDriver(context)
            const subscription = await subscribe(driver, topic)
            const delivery = await receiveOne(context, subscription)
            assert.equal(delivery.crashes, 0, `crashes of round ${round}, ordered: ${ordered}`)
            assert.equal(delivery.attempt, 1)
            if (round % 3 === 0) {
              const [outcome] = await subscription.settle([{ delivery, verdict: { kind: 'release' } }])
              assert.ok(outcome?.ok)
              await receiveOne(context, subscription)
            }
            if (round % 3 < 2) await subscription.close()
            await driver.close()
          }
          if (ordered) continue
          for (let crash = 0; crash < 3; crash += 1) {
            assert.equal((await dieWith(context, topic)).crashes, crash)
          }
          const driver = await openDriver(context)
          const subscription = await subscribe(driver, topic)
          const delivery = await receiveOne(context, subscription)
          assert.equal(delivery.crashes, 3)
          await subscription.settle([{ delivery, verdict: { kind: 'release' } }])
          const again = await receiveOne(context, subscription)
          assert.equal(again.crashes, 3, 'a release forgot the crashes')
        }
      },
    },
    {
      number: 145,
      title: 'On an existing classic queue, which counts nothing, crashes are counted all the same',
      async run(context) {
        const queue = context.unique('classic')
        await administration.plainly((channel) =>
          channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'classic' } }),
        )
        const topic = context.topic({
          groups: [group.name],
          native: { rabbitmq: { groups: { [group.name]: { queue } } } },
        })
        await sendOne(context, topic)
        const crashes = 10
        for (let crash = 0; crash < crashes; crash += 1) {
          assert.equal((await dieWith(context, topic)).crashes, crash)
        }
        const recorder = context.recorder()
        const bus = await context.bus({ topics: [topic] })
        const options = { maxDeliveries: crashes - 1 }
        await bus.consumer(group.name, options).on(numbered(topic), recorder.handler()).start()
        const letters = bus.group(topic, group.name).deadLetters
        await context.eventually('it is a dead letter', async () => (await letters.count()) === 1)
        assert.equal(recorder.deliveries.length, 0)
      },
    },
  ]
}
