import assert from 'node:assert/strict'
import type { Consumer } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { Latch } from '../case/latch.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** What closing may take beyond its timeout: one grace period for a broker that does not answer. */
const closeGraceMs = 6000

export const shutdown: readonly Case[] = [
  {
    number: 79,
    part: 'a',
    title: 'What a consumer had in hand when it was killed reaches its peer within the stated time',
    needs: ['processes'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const lease = context.pace(1000)
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency: 4, lease },
        behaviour: { kind: 'hang' },
      })
      await context.eventually('the child is ready', () => child.of('ready').length === 1)
      const recorder = context.recorder()
      await stage.consume(recorder, { lease, concurrency: 4 })
      // Enough for both: what has no key goes to one part of a topic for a while.
      const sent = await stage.send(200)
      const stuck = () => new Set(child.of('delivered').map(({ id }) => id))
      await context.eventually('the child has some in hand, its peer handled others', () => {
        return stuck().size > 0 && recorder.deliveries.length > 0
      })
      await child.kill()
      const killedAt = performance.now()
      const withinMs = context.capabilities.redeliveryMs + (context.capabilities.lease ? lease : 0)
      await context.exactly(recorder, sent, { withinMs: 2 * withinMs + context.pace(15_000) })
      const late = Math.max(...recorder.deliveries.map(({ startedAt }) => startedAt)) - killedAt
      assert.ok(late <= withinMs + context.slackMs, `the last came ${Math.round(late)} ms after the kill`)
    },
  },
  {
    number: 79,
    part: 'b',
    title:
      'A message that keeps killing its consumer ends in the dead letters, and does not reach the handler again',
    requires: ['countsCrashes'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      const lease = context.pace(1000)
      const maxDeliveries = 2
      const sent = await stage.sendOne()
      const withinMs = lease + context.capabilities.redeliveryMs + context.pace(15_000)
      for (let crash = 1; crash <= maxDeliveries; crash += 1) {
        const child = context.child('consumer-program', {
          topic: stage.topic,
          group: stage.group,
          options: { lease, maxDeliveries },
          behaviour: { kind: 'hang' },
        })
        await context.eventually('the child has it', () => child.of('delivered').length === 1, withinMs)
        await child.kill()
      }
      const recorder = context.recorder()
      await stage.consume(recorder, { lease, maxDeliveries })
      await context.eventually(
        'it is a dead letter',
        async () => (await stage.deadLetters()).length === 1,
        withinMs,
      )
      const [letter] = await stage.deadLetters()
      assert.equal(letter?.reason, 'crash-loop')
      assert.equal(letter.message?.id, sent.id)
      assert.equal(letter.deliveries, maxDeliveries + 1)
      // As many as reach every corner of the topic: the crashes are held against none of what came after them.
      await context.exactly(recorder, await stage.send(context.load(200)))
      assert.equal((await stage.deadLetters()).length, 1)
    },
  },
  {
    number: 79,
    part: 'c',
    title: 'A message whose lease keeps running out under its handlers ends in the dead letters',
    requires: ['countsCrashes', 'lease'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const never = new Latch()
      context.defer(() => never.open())
      const lease = context.pace(400)
      const options = { lease, maxLease: lease, concurrency: 1, prefetch: 1, maxDeliveries: 2 }
      const sent = await stage.sendOne()
      for (const member of ['first', 'second', 'third']) {
        await stage.consume(recorder, { ...options, member, bus: await context.bus() }, () => never.passed())
      }
      const withinMs = 6 * lease + 3 * context.capabilities.redeliveryMs + context.pace(15_000)
      await context.eventually(
        'it is a dead letter',
        async () => (await stage.deadLetters()).length === 1,
        withinMs,
      )
      const [letter] = await stage.deadLetters()
      assert.equal(letter?.reason, 'crash-loop')
      assert.deepEqual(recorder.ids, [sent.id, sent.id])
    },
  },
  {
    number: 80,
    title: 'stop() takes nothing new, lets running handlers finish, and nothing is repeated afterwards',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder, { concurrency: 5 }, () => context.work(50))
      const sent = await stage.send(60)
      await context.eventually('some are handled', () => recorder.deliveries.length >= 10)
      const report = await consumer.stop()
      const startedBefore = recorder.deliveries.length
      assert.deepEqual(report.abandoned, [])
      assert.ok(
        recorder.deliveries.every(({ outcome }) => outcome === 'resolved'),
        'a handler was still running',
      )
      assert.ok(startedBefore < sent.length, 'stop() waited for the whole backlog')
      await context.quiet()
      assert.equal(recorder.deliveries.length, startedBefore, 'delivered after stop()')
      await stage.consume(recorder, { concurrency: 5 })
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 81,
    title:
      'When stop() runs out of time it says what it abandoned, aborts it, and that comes back to the group',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const never = new Latch()
      context.defer(() => never.open())
      const aborted: string[] = []
      const leaving = await context.bus()
      const consumer = await stage.consume(
        recorder,
        { bus: leaving, concurrency: 3 },
        ({ id }, { signal }) => {
          signal.addEventListener('abort', () => aborted.push(id))
          return never.passed()
        },
      )
      const sent = await stage.send(10)
      await context.eventually('three handlers are stuck', () => recorder.inFlight === 3)
      const startedAt = performance.now()
      const report = await consumer.stop({ timeout: context.pace(300) })
      const tookMs = performance.now() - startedAt
      assert.ok(tookMs < context.pace(300) + closeGraceMs, `stop() took ${Math.round(tookMs)} ms`)
      assert.deepEqual([...report.abandoned].sort(), recorder.ids.slice(0, 3).sort())
      assert.deepEqual(aborted.sort(), recorder.ids.slice(0, 3).sort())
      const next = context.recorder()
      await stage.consume(next)
      await context.exactly(next, sent, {
        withinMs: context.capabilities.redeliveryMs + context.pace(15_000),
      })
    },
  },
  {
    number: 82,
    part: 'a',
    title: 'close() is bounded while a handler hangs',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const never = new Latch()
      context.defer(() => never.open())
      await stage.consume(recorder, {}, () => never.passed())
      await stage.sendOne()
      await context.eventually('the handler hangs', () => recorder.inFlight === 1)
      const timeout = context.pace(300)
      await context.within('close() resolves', stage.bus.close({ timeout }), timeout + closeGraceMs)
    },
  },
  {
    number: 82,
    part: 'b',
    title: 'close() is bounded while the driver answers nothing any more, and pending sends are told',
    async run(context) {
      let hangs = false
      const never = new Latch()
      const maybe = async <Result>(forward: () => Promise<Result>): Promise<Result> => {
        if (hangs) await never.passed()
        return forward()
      }
      const adapter = wrapAdapter(context.harness.adapter, {
        publish: (batch, forward) => maybe(() => forward(batch)),
        settle: (settlements, forward) => maybe(() => forward(settlements)),
        closeSubscription: (forward) => maybe(forward),
        close: (forward) => maybe(forward),
      })
      const stage = await context.stage({ connect: { adapter } })
      // Ends what hangs, so that the connections underneath are closed when the case is over.
      context.defer(() => never.open())
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 1 }, () => {
        hangs = true
      })
      await stage.sendOne()
      await context.eventually('the driver hangs', () => hangs)
      const sending = stage.sendOne().then(
        () => 'sent',
        () => 'refused',
      )
      const timeout = context.pace(300)
      await context.within('close() resolves', stage.bus.close({ timeout }), timeout + closeGraceMs)
      assert.equal(await context.within('the pending send ends', sending, context.pace(1000)), 'refused')
    },
  },
  {
    number: 82,
    part: 'c',
    title: 'close() is bounded while the connection says nothing any more',
    needs: ['proxy'],
    async run(context) {
      const { options, proxy } = await context.proxied()
      const stage = await context.stage({ connect: options })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [await stage.sendOne()])
      proxy.blackhole()
      context.defer(() => proxy.heal())
      const sending = stage.sendOne().catch(() => undefined)
      const timeout = context.pace(500)
      await context.within('close() resolves', stage.bus.close({ timeout }), timeout + 2 * closeGraceMs)
      await context.within('the pending send ends', sending, context.pace(1000))
    },
  },
  {
    number: 83,
    title:
      'While members join and leave nothing is lost, and no more repeated than was in hand at each change',
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const options = { concurrency: 4, prefetch: 8 }
      const members: Consumer[] = []
      let sending = true
      const sent: { id: string }[] = []
      const producing = (async () => {
        // There is always something waiting, so that members have their hands full when they leave.
        while (sending) {
          if (sent.length < recorder.deliveries.length + 100) sent.push(...(await stage.send(10)))
          await context.work(2)
        }
      })()
      let changes = 0
      // Between one and three of them.
      for (const change of ['join', 'join', 'leave', 'join', 'join', 'leave', 'join', 'leave', 'leave']) {
        const member = `member ${changes}`
        changes += 1
        if (change === 'leave') await members.shift()?.stop()
        else {
          const bus = await context.bus()
          members.push(await stage.consume(recorder, { ...options, member, bus }, () => context.work(5)))
        }
        const goal = recorder.deliveries.length + 40
        await context.eventually(
          'the members go on',
          () => recorder.deliveries.length >= goal,
          context.pace(30_000),
        )
      }
      sending = false
      await producing
      const duplicateBudget = changes * options.prefetch
      await context.exactly(recorder, sent, { duplicateBudget, withinMs: context.pace(30_000) })
    },
  },
]
