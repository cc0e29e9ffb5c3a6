import assert from 'node:assert/strict'
import { type Delivery, systemClock } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import { driverOf, group, join, messageOf, numbersOf, some, take } from './bare-driver.ts'
import { sources } from './keys.ts'
import { consumerNames, plainly } from './plain-client.ts'

export const ownership: readonly Case[] = [
  {
    number: 202,
    part: 'a',
    title: 'A member that slept through its lease reads nothing more of its partitions, and settles nothing',
    async run(context) {
      const topic = context.topic({ ordered: true, partitions: 2 })
      // To it no time passes, so it has no reason to ask whether it still owns anything.
      const asleep = await driverOf(context, { clock: { ...systemClock, monotonic: () => -1 } })
      const awake = await driverOf(context)
      await asleep.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const sleeper = await join(asleep, topic)
      const lost: Delivery[] = []
      sleeper.onLost((deliveries) => lost.push(...deliveries))
      await awake.publish([0, 1, 2, 3, 4].map((n) => messageOf(topic, n)))
      const inHand = await some(context, sleeper, 1)
      assert.deepEqual(numbersOf(inHand), [0])

      const successor = await join(awake, topic)
      assert.deepEqual(await take(context, successor, 5), [0, 1, 2, 3, 4], 'the successor has all, in order')
      await awake.publish([5, 6].map((n) => messageOf(topic, n)))
      const [delivery] = inHand
      assert.ok(delivery)
      const [outcome] = await sleeper.settle([{ delivery, verdict: { kind: 'dead-letter', headers: {} } }])
      assert.ok(outcome !== undefined && !outcome.ok)
      assert.equal(outcome.error.code, 'stale', 'core is told that the delivery was lost')
      assert.deepEqual(await sleeper.receive(100, AbortSignal.timeout(500)), [], 'its token is stale')
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
        plainly(context.harness.connection.url, async (client) => {
          const found = await consumerNames(client, sources(stage.topic, stage.group), stage.group)
          // The one name under which all that was given back waits.
          return new Set([...found].filter((name) => name !== 'returned'))
        })
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
