import assert from 'node:assert/strict'
import type { Delivery } from '@waybill/core/driver'
import type { Case } from '../../case/case.ts'
import { Latch } from '../../case/latch.ts'
import { driverOf, group, join, messageOf, numbersOf, some, take } from './bare-driver.ts'

const never = new AbortController().signal

export const handover: readonly Case[] = [
  {
    number: 211,
    part: 'a',
    title: 'A partition is not handed to a member that joins while a handler runs, however long it runs',
    async run(context) {
      const leaseMs = context.pace(600)
      const stage = await context.stage({
        topic: { ordered: true, partitions: 2, groups: [context.unique('group')] },
      })
      const stuck = new Latch()
      context.defer(() => stuck.open())
      const recorder = context.recorder()
      const running = new Map<string, number>()
      const overlaps: string[] = []
      const consume = async (member: string) =>
        stage.consume(recorder, { member, lease: leaseMs, bus: await context.bus() }, async ({ id }) => {
          const name = id.split('~')[0] ?? ''
          running.set(name, (running.get(name) ?? 0) + 1)
          if ((running.get(name) ?? 0) > 1) overlaps.push(`${id} of ${name}`)
          await stuck.passed()
          running.set(name, (running.get(name) ?? 0) - 1)
        })
      await consume('first')
      const sent = []
      for (let n = 0; n < 24; n += 1) {
        const key = `key-${n % 8}`
        sent.push(await stage.sendOne({ key, id: `${key}~${context.unique('message')}` }))
      }
      await context.eventually('every key is being handled', () => recorder.inFlight === 8)
      await consume('second')
      // Several leases and several looks of the second member.
      await context.quiet(8 * leaseMs)
      assert.deepEqual(recorder.byMember('second'), [], 'nothing of theirs is free')
      stuck.open()
      await context.exactly(recorder, sent)
      assert.deepEqual(overlaps, [])
      const later = await stage.send(40)
      await context.exactly(recorder, [...sent, ...later])
      await context.eventually('the second has its share', async () => {
        const { partitions = [] } = await stage.bus.group(stage.topic, stage.group).stats()
        return new Set(partitions.map(({ owner }) => owner)).size === 2
      })
    },
  },
  {
    number: 211,
    part: 'b',
    title: 'What is given back while later ones are on their way comes before them',
    async run(context) {
      const topic = context.topic({ ordered: true, partitions: 1 })
      const driver = await driverOf(context)
      await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const member = await join(driver, topic, { leaseMs: 30_000 })
      await driver.publish([...Array(10).keys()].map((n) => messageOf(topic, n)))
      const first = await some(context, member, 4)
      assert.deepEqual(numbersOf(first), [0, 1, 2, 3])
      const fetched = member.receive(100, never)
      const release = (delivery: Delivery) => ({ delivery, verdict: { kind: 'release' } }) as const
      await member.settle(first.map(release))
      const numbers = numbersOf(await fetched)
      while (numbers.length < 10) numbers.push(...numbersOf(await some(context, member, 100)))
      assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    },
  },
  {
    number: 211,
    part: 'c',
    title:
      'What is given back, or left behind by a member that stops, does not count as a crash; a death does',
    async run(context) {
      for (const ordered of [false, true]) {
        const topic = context.topic({ ordered, partitions: 1 })
        const driver = await driverOf(context)
        await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
        await driver.publish([messageOf(topic, 0)])
        for (let round = 0; round < 3; round += 1) {
          const member = await join(driver, topic, { leaseMs: 30_000 })
          for (let release = 0; release < 3; release += 1) {
            const [delivery] = await some(context, member, 1)
            assert.ok(delivery)
            assert.equal(delivery.crashes, 0)
            await member.settle([{ delivery, verdict: { kind: 'release' } }])
          }
          const [held] = await some(context, member, 1)
          assert.equal(held?.crashes, 0)
          await member.close()
        }
        const last = await join(driver, topic, { leaseMs: 30_000 })
        assert.deepEqual(await take(context, last, 1), [0])
        await last.close()
      }
    },
  },
  {
    number: 211,
    part: 'd',
    title: 'A late verdict of a member that lost its message is told as stale, and has no effect',
    async run(context) {
      const topic = context.topic()
      const driver = await driverOf(context)
      const other = await driverOf(context)
      await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      // It neither receives nor extends, as a process that is stopped.
      const stopped = await join(driver, topic, { leaseMs: 300 })
      await driver.publish([messageOf(topic, 0), messageOf(topic, 1)])
      const held = await some(context, stopped, 2)
      const peer = await join(other, topic, { leaseMs: 30_000 })
      const again = await some(context, peer, 2)
      assert.deepEqual(numbersOf(again), numbersOf(held))
      for (const verdict of [
        { kind: 'dead-letter', headers: {} },
        { kind: 'retry', delayMs: 0, headers: {} },
        { kind: 'release' },
        { kind: 'ack' },
      ] as const) {
        const outcomes = await stopped.settle(held.map((delivery) => ({ delivery, verdict })))
        for (const outcome of outcomes) assert.ok(!outcome.ok && outcome.error.code === 'stale', verdict.kind)
      }
      assert.equal(await driver.deadLetters(topic, group.name).count(), 0)
      const outcomes = await peer.settle(again.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
      assert.ok(outcomes.every(({ ok }) => ok))
      await driver.publish([messageOf(topic, 2)])
      assert.deepEqual(await take(context, peer, 1), [2])
    },
  },
  {
    number: 211,
    part: 'e',
    title: 'On an ordered topic a delayed message holds its key, and no other; cancelled, it no longer does',
    async run(context) {
      const stage = await context.stage({
        topic: { ordered: true, partitions: 1, groups: [context.unique('group')] },
      })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const delay = context.pace(1000)
      const held = await stage.sendOne({ key: 'held', delay })
      const behind = await stage.sendOne({ key: 'held' })
      const sooner = await stage.sendOne({ key: 'held', delay: delay / 4 })
      const free = await stage.sendOne({ key: 'free' })
      await context.exactly(recorder, [free, held, behind, sooner])
      assert.deepEqual(recorder.ids, [free.id, held.id, behind.id, sooner.id])
      const after = await stage.sendOne({ key: 'held' })
      await context.exactly(recorder, [free, held, behind, sooner, after])

      const driver = await driverOf(context)
      const cancelled = await stage.sendOne({ key: 'held', delay: 60_000 })
      const { cancelDelayed } = driver.administration
      assert.ok(cancelDelayed !== undefined)
      assert.equal(await driver.administration.cancelDelayed?.(stage.topic, cancelled.id), true)
      assert.equal(await driver.administration.cancelDelayed?.(stage.topic, cancelled.id), false)
      const last = await stage.sendOne({ key: 'held' })
      await context.exactly(recorder, [free, held, behind, sooner, after, last])
    },
  },
]
