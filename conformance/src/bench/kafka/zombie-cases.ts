import assert from 'node:assert/strict'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { numberOf } from '../../fixtures/numbered.ts'

/** Members that come back after their peers have gone on. */
export function zombieCases(client: Kafka): readonly Case[] {
  return [
    {
      number: 231,
      title:
        'A member that was cut off until others had its partition takes back nothing of what they committed',
      needs: ['proxy'],
      timeoutMs: 120_000,
      async run(context) {
        const { options, proxy } = await context.proxied()
        // Its connection outlives the silence, and with it the commit that is on its way.
        const native = { kafka: { sessionTimeout: 6000, requestTimeout: 60_000 } }
        const stage = await context.stage({ topic: { partitions: 1, groups: [context.unique('group')] } })
        const cut = await context.bus({ ...options, native, topics: [stage.topic] })
        const admin = client.admin()
        context.defer(() => admin.disconnect())
        await admin.connect()
        const committed = async () => {
          const groupId = `${stage.topic.name}:${stage.group}`
          const [topic] = await admin.fetchOffsets({ groupId, topics: [stage.topic.name] })
          return Number(topic?.partitions[0]?.offset)
        }
        const [first, second] = [context.recorder(), context.recorder()]
        const gate = new Latch()
        context.defer(() => gate.open())
        await stage.consume(first, { member: 'cut off', bus: cut, concurrency: 20 }, (message) =>
          numberOf(message) > 5 ? gate.passed() : undefined,
        )
        await stage.sendBatch(10, {}, {})
        await context.eventually('half of it is committed', async () => (await committed()) === 5)
        await context.eventually('the rest is in hand', () => first.inFlight === 5)
        proxy.blackhole()
        context.defer(() => proxy.heal())
        // In time for the fetch that waits at the broker: its answer comes to the first member when others have handled this.
        const later = await stage.sendBatch(20, {}, {})
        gate.open()
        const peer = await context.bus({ topics: [stage.topic] })
        const consumer = await stage.consume(second, { member: 'peer', bus: peer })
        const positions: number[] = []
        await context.eventually('the peer has committed all', async () => (await committed()) === 30)
        proxy.heal()
        const watch = async () => {
          positions.push(await committed())
          return positions.length >= 20
        }
        await context.eventually('the position is watched', watch)
        await consumer.stop()
        const last = await stage.sendBatch(5, {}, {})
        await context.eventually('the first member goes on', async () => {
          positions.push(await committed())
          return last.every((message) => first.of(message).length === 1)
        })
        assert.ok(
          positions.every((position) => position >= 30),
          `the group went back to ${Math.min(...positions)}`,
        )
        for (const message of later) {
          assert.equal(first.of(message).length + second.of(message).length, 1, 'handled by both')
        }
      },
    },
  ]
}
