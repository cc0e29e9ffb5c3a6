import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { Latch } from '../case/latch.ts'
import { numberOf } from '../fixtures/numbered.ts'

export const settlement: readonly Case[] = [
  {
    number: 24,
    part: 'a',
    title: 'What was acked never comes back, neither past its lease nor to the next consumer',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const lease = context.pace(400)
      const consumer = await stage.consume(recorder, { lease })
      const sent = await stage.send(20)
      await context.exactly(recorder, sent, { quietMs: lease * 1.5 })
      await consumer.stop()
      await stage.consume(recorder, { lease, bus: await context.bus() })
      await context.exactly(recorder, [...sent, await stage.sendOne()])
    },
  },
  {
    number: 24,
    part: 'b',
    title: 'What was acked does not come back after a restart of the broker',
    needs: ['restart'],
    alone: true,
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const consumer = await stage.consume(recorder)
      const sent = await stage.send(20)
      await context.exactly(recorder, sent)
      await consumer.stop()
      await context.broker.restart()
      await stage.consume(recorder)
      await context.exactly(recorder, [...sent, await stage.sendOne()], { withinMs: context.pace(60_000) })
    },
  },
  {
    number: 25,
    title: 'A handler that throws gets the same message again as attempt 2',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry }, (_, { attempt }) => {
        if (attempt === 1) throw new Error('the first attempt fails')
      })
      const sent = await stage.sendOne()
      await context.exactly(recorder, [sent, sent])
      assert.deepEqual(
        recorder.deliveries.map(({ attempt }) => attempt),
        [1, 2],
      )
      assert.deepEqual(recorder.deliveries[1]?.message, recorder.deliveries[0]?.message)
    },
  },
  {
    number: 26,
    title: 'A message that fails leaves its neighbours settled',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry }, (message, { attempt }) => {
        if (numberOf(message) === 7 && attempt <= 2) throw new Error('number 7 fails twice')
      })
      const sent = await stage.send(20)
      const failing = sent.filter((message) => numberOf(message) === 7)
      await context.exactly(recorder, [...sent, ...failing, ...failing])
    },
  },
  {
    number: 27,
    title: 'Settling a second time does nothing, whatever the second verdict',
    async run(context) {
      const stage = await context.stage()
      const pull = context.pull(stage.bus, stage.message, { group: stage.group })
      const sent = await stage.sendOne()
      const delivery = await pull.next()
      assert.equal(delivery.message.id, sent.id)
      await delivery.ack()
      await delivery.ack()
      await delivery.retry()
      await delivery.deadLetter('too late')
      await delivery.release()
      const control = await stage.sendOne()
      const next = await pull.next()
      assert.equal(next.message.id, control.id, 'what was acked came back')
      await next.ack()
      await context.quiet()
      assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.count(), 0)
    },
  },
  {
    number: 31,
    part: 'a',
    title:
      'When the third message is acked and the consumer closes, the first two come back and the third does not',
    async run(context) {
      const stage = await context.stage()
      const leaving = await context.bus()
      const pull = context.pull(leaving, stage.message, { group: stage.group, prefetch: 3 })
      const sent = await stage.send(3)
      const taken = [await pull.next(), await pull.next(), await pull.next()]
      const third = taken[2]
      assert.ok(third)
      await third.ack()
      await pull.close()
      await leaving.close()
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(
        recorder,
        sent.filter(({ id }) => id !== third.message.id),
      )
    },
  },
  {
    number: 31,
    part: 'b',
    title:
      'When the third message is acked and the process is killed, the first two come back, the third at most once',
    needs: ['processes'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency: 3 },
        behaviour: { kind: 'hang-below', n: 3 },
      })
      await context.eventually('the child is ready', () => child.of('ready').length === 1)
      const sent = await stage.send(3)
      await context.eventually('the child holds two and has handled the third', () => {
        return child.of('delivered').length === 3 && child.of('handled').length === 1
      })
      await child.kill()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const third = sent.filter((message) => numberOf(message) === 3)
      const others = sent.filter((message) => numberOf(message) !== 3)
      const withinMs = context.capabilities.redeliveryMs + context.pace(15_000)
      await context.eventually(
        'the first two come back',
        () => others.every((each) => recorder.of(each).length > 0),
        withinMs,
      )
      await context.quiet()
      for (const message of others) assert.equal(recorder.of(message).length, 1)
      for (const message of third)
        assert.ok(recorder.of(message).length <= 1, 'the third came back more than once')
    },
  },
  {
    number: 32,
    title: '300 messages that fail once each are all consumed at their second attempt',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry, concurrency: 20 }, (_, { attempt }) => {
        if (attempt === 1) throw new Error('the first attempt fails')
      })
      const sent = await stage.send(300)
      await context.exactly(recorder, [...sent, ...sent])
      assert.equal(recorder.deliveries.filter(({ outcome }) => outcome === 'resolved').length, 300)
    },
  },
  {
    number: 33,
    title: 'A released message comes back at once, and it counts as no attempt',
    async run(context) {
      const stage = await context.stage()
      const pull = context.pull(stage.bus, stage.message, { group: stage.group })
      const sent = await stage.sendOne()
      let delivery = await pull.next()
      for (let round = 0; round < 3; round += 1) {
        const releasedAt = performance.now()
        await delivery.release()
        delivery = await pull.next()
        const tookMs = performance.now() - releasedAt
        assert.equal(delivery.message.id, sent.id)
        assert.equal(delivery.attempt, 1)
        assert.ok(tookMs < context.pace(1000) + context.slackMs, `it took ${Math.round(tookMs)} ms`)
      }
      await delivery.ack()
      const control = await stage.sendOne()
      assert.equal((await pull.next()).message.id, control.id)
    },
  },
]

export const leases: readonly Case[] = [
  {
    number: 28,
    title: 'A message that is not settled comes back no sooner than its lease, and within the stated time',
    requires: ['lease'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const lease = context.pace(500)
      const never = new Latch()
      context.defer(() => never.open())
      const options = { lease, maxLease: lease, concurrency: 1, prefetch: 1 }
      await stage.consume(recorder, { ...options, member: 'silent' }, () => never.passed())
      await stage.sendOne()
      await context.eventually('the first member has it', () => recorder.inFlight === 1)
      await stage.consume(recorder, { ...options, member: 'peer', bus: await context.bus() })
      const withinMs = 2 * lease + context.capabilities.redeliveryMs + context.slackMs
      await context.eventually('its peer gets it', () => recorder.byMember('peer').length === 1, 2 * withinMs)
      const [silent, peer] = recorder.deliveries
      assert.ok(silent && peer)
      const afterMs = peer.startedAt - silent.startedAt
      // The lease begins with the receipt, a little before the handler.
      assert.ok(afterMs > lease * 0.9, `after ${afterMs} ms, before the lease of ${lease} ms was over`)
      assert.ok(afterMs <= withinMs, `after ${afterMs} ms, later than ${withinMs} ms`)
    },
  },
  {
    number: 29,
    title: 'A handler that takes longer than its lease runs once',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      // Long enough for a busy broker to answer a renewal within it.
      const lease = context.pace(800)
      for (const member of ['one', 'other']) {
        await stage.consume(recorder, { member, lease, bus: await context.bus() }, () => context.work(2000))
      }
      await context.exactly(recorder, await stage.send(2), { quietMs: context.pace(2000) + lease })
    },
  },
  {
    number: 30,
    title: 'An ack that comes too late does not settle the redelivery that somebody else has',
    requires: ['lease'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const lease = context.pace(500)
      const release = new Latch()
      context.defer(() => release.open())
      const options = { lease, maxLease: lease, concurrency: 1, prefetch: 1 }
      // Its handler gets through, though too late: when the message comes back to it, it need not be handled again.
      let isKnown = false
      stage.bus.on('duplicate', () => {
        isKnown = true
      })
      await stage.consume(recorder, { ...options, member: 'late' }, () => release.passed())
      const sent = await stage.sendOne()
      await context.eventually('the first member has it', () => recorder.inFlight === 1)
      const peer = context.pull(await context.bus(), stage.message, { group: stage.group, prefetch: 1 })
      const redelivery = await peer.next()
      assert.equal(redelivery.message.id, sent.id)
      release.open()
      await context.eventually('the first member is through', () => recorder.inFlight === 0)
      await context.quiet()
      await redelivery.release()
      const again = await context.within(
        'it comes back to either of them',
        Promise.race([
          peer.next().then(({ message }) => message.id),
          context
            .eventually('the late member gets it again', () => isKnown || recorder.deliveries.length > 1)
            .then(() => sent.id),
        ]),
      )
      assert.equal(again, sent.id)
    },
  },
]
