import assert from 'node:assert/strict'
import type { Case } from '../case/case.ts'
import { collectGarbage } from '../case/collect-garbage.ts'
import { Latch } from '../case/latch.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

const mebibyte = 1024 * 1024

export const concurrency: readonly Case[] = [
  {
    number: 55,
    title: 'As many handlers run at once as `concurrency` says, and never one more',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const concurrency = 5
      await stage.consume(recorder, { concurrency }, () => gate.passed())
      const sent = await stage.send(40)
      await context.eventually('five handlers run', () => recorder.inFlight === concurrency)
      await context.quiet()
      gate.open()
      await context.exactly(recorder, sent)
      assert.equal(recorder.mostInFlight, concurrency)
    },
  },
  {
    number: 56,
    title: 'The broker never has more unsettled deliveries out to a consumer than its prefetch',
    needs: ['unsettled'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const prefetch = 6
      await stage.consume(recorder, { concurrency: 2, prefetch }, () => gate.passed())
      const sent = await stage.send(60)
      const unsettled = () => context.unsettled(stage.topic, stage.group)
      await context.eventually(
        'the prefetch is used',
        async () => (await unsettled()) >= 2,
        context.pace(15_000),
      )
      await context.quiet()
      const most = await unsettled()
      assert.ok(most <= prefetch, `${most} unsettled at a prefetch of ${prefetch}`)
      gate.open()
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 57,
    title: 'With a backlog of 100,000 and a handler that is stuck, memory stays bounded',
    alone: true,
    timeoutMs: 240_000,
    async run(context) {
      const stage = await context.stage()
      const count = context.load(100_000)
      const timeout = context.pace(30_000)
      for (let sent = 0; sent < count; sent += 5000) {
        await stage.sendBatch(Math.min(5000, count - sent), { timeout })
      }
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const before = collectGarbage()
      await stage.consume(recorder, { concurrency: 1 }, () => gate.passed())
      await context.eventually('the handler is stuck', () => recorder.inFlight === 1)
      await context.quiet(context.pace(1000))
      const grownBy = collectGarbage() - before
      assert.equal(recorder.deliveries.length, 1)
      assert.ok(grownBy < 16 * mebibyte, `memory grew by ${Math.round(grownBy / mebibyte)} MiB`)
    },
  },
  {
    number: 58,
    part: 'a',
    title: 'A paused consumer gets nothing, a resumed one everything that came meanwhile',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({
        topic: { groups: [context.unique('pausing'), context.unique('control')] },
      })
      const recorder = context.recorder()
      const control = context.recorder()
      const consumer = await stage.consume(recorder)
      await stage.consume(control, { group: stage.topic.groups[1]?.name ?? '' })
      const before = await stage.send(5)
      await context.exactly(recorder, before)
      consumer.pause()
      const meanwhile = await stage.send(20)
      await context.exactly(control, [...before, ...meanwhile])
      assert.equal(recorder.deliveries.length, 5, 'delivered while paused')
      consumer.resume()
      await context.exactly(recorder, [...before, ...meanwhile])
    },
  },
  {
    number: 58,
    part: 'b',
    title: 'What was in hand and no handler had seen when the consumer was paused comes back after resume()',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const consumer = await stage.consume(recorder, { concurrency: 1, prefetch: 10 }, () => gate.passed())
      const sent = await stage.send(20)
      await context.eventually('one is being handled', () => recorder.inFlight === 1)
      await context.quiet()
      consumer.pause()
      gate.open()
      await context.eventually('it is handled', () => recorder.inFlight === 0)
      await context.quiet()
      assert.equal(recorder.deliveries.length, 1, 'delivered while paused')
      consumer.resume()
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 59,
    title: 'A topic whose handlers are stuck does not starve another topic of the same consumer',
    async run(context) {
      const groups = [context.unique('group')]
      const slow = await context.stage({ topic: { groups } })
      const quick = await context.stage({ topic: { groups }, bus: slow.bus })
      const gate = new Latch()
      context.defer(() => gate.open())
      const atSlow = context.recorder()
      const atQuick = context.recorder()
      await slow.bus
        .consumer(slow.group, { concurrency: 2 })
        .on(
          slow.message,
          atSlow.handler('slow', () => gate.passed()),
        )
        .on(quick.message, atQuick.handler('quick'))
        .start()
      const slowly = await slow.send(20)
      await context.eventually('the slow topic is stuck', () => atSlow.inFlight === 2)
      await context.exactly(atQuick, await quick.send(50))
      assert.equal(atSlow.deliveries.length, 2)
      gate.open()
      await context.exactly(atSlow, slowly)
    },
  },
  {
    number: 60,
    title:
      'A producer faster than the broker is held back at its bound, and every send is completed in the end',
    async run(context) {
      let bytesUnderWay = 0
      let most = 0
      const adapter = wrapAdapter(context.harness.adapter, {
        async publish(batch, forward) {
          const bytes = batch.reduce((sum, { body }) => sum + body.byteLength, 0)
          bytesUnderWay += bytes
          most = Math.max(most, bytesUnderWay)
          await context.work(5)
          const outcomes = await forward(batch)
          bytesUnderWay -= bytes
          return outcomes
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const maxInFlightBytes = 64 * 1024
      const producer = stage.bus.producer({ maxInFlightBytes })
      let completed = 0
      const sends = Array.from({ length: 100 }, (_, n) =>
        producer.send(stage.message, { n, key: 'x'.repeat(8 * 1024) }).then((message) => {
          completed += 1
          return message
        }),
      )
      await context.eventually('some are sent', () => completed > 0)
      assert.ok(completed < 100, 'all were taken at once')
      const sent = await context.within('all are sent', Promise.all(sends))
      assert.ok(most <= maxInFlightBytes, `${most} bytes were under way at once`)
      assert.ok(most > maxInFlightBytes / 2, `only ${most} bytes were under way at once`)
      await context.exactly(recorder, sent)
    },
  },
]
