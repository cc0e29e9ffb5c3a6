import assert from 'node:assert/strict'
import { defineMessage, fixed, memoryRateLimitStore } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import { clockToleranceMs } from '../case/case-context.ts'
import { Latch } from '../case/latch.ts'
import { numbered } from '../fixtures/numbered.ts'

const fail = () => {
  throw new Error('every attempt fails')
}

export const policies: readonly Case[] = [
  {
    number: 233,
    part: 'a',
    title:
      'Attempts are the handler’s, else the definition’s, else the consumer’s, and the sender’s come first',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const backoff = fixed(context.pace(50))
      const schema = z.object({ n: z.number() })
      const Own = numbered(stage.topic, 'policy.own')
      const Shared = defineMessage(stage.topic, 'policy.shared', { schema, retry: { attempts: 3 } })
      const Plain = numbered(stage.topic, 'policy.plain')
      const consumer = stage.bus
        .consumer(stage.group, { retry: { attempts: 2, backoff } })
        .on(Own, recorder.handler('own', fail), { retry: { attempts: 1 } })
        .on(Shared, recorder.handler('shared', fail))
        .on(Plain, recorder.handler('plain', fail))
      await consumer.start()
      const own = await stage.producer.send(Own, { n: 1 })
      const shared = await stage.producer.send(Shared, { n: 2 })
      const plain = await stage.producer.send(Plain, { n: 3 })
      const asked = await stage.producer.send(Own, { n: 4 }, { attempts: 4 })
      await context.exactly(
        recorder,
        [own, ...Array(3).fill(shared), ...Array(2).fill(plain), ...Array(4).fill(asked)],
        { quietMs: context.pace(50) + context.latenessMs },
      )
      await context.eventually('all are dead', async () => (await stage.deadLetters()).length === 4)
    },
  },
  {
    number: 233,
    part: 'b',
    title: 'The attempts that a sender asked for hold again after a replay',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { retry: { backoff: fixed(context.pace(50)) } }, fail)
      const sent = await stage.sendOne({ attempts: 2 })
      await context.eventually('it is dead', async () => (await stage.deadLetters()).length === 1)
      await stage.bus.group(stage.topic, stage.group).deadLetters.replayAll()
      await context.exactly(recorder, [sent, sent, sent, sent], {
        quietMs: context.pace(50) + context.latenessMs,
      })
      assert.deepEqual(
        recorder.deliveries.map(({ attempt }) => attempt),
        [1, 2, 1, 2],
      )
    },
  },
  {
    number: 234,
    title: 'A flood for a handler that runs one at a time leaves the others their turn',
    async run(context) {
      const stage = await context.stage()
      const slow = context.recorder()
      const quick = context.recorder()
      const latch = new Latch()
      context.defer(() => latch.open())
      const Slow = numbered(stage.topic, 'work.slow')
      const Quick = numbered(stage.topic, 'work.quick')
      const consumer = stage.bus
        .consumer(stage.group, { concurrency: 4, prefetch: 10 })
        .on(
          Slow,
          slow.handler('slow', () => latch.passed()),
          { concurrency: 1 },
        )
        .on(Quick, quick.handler('quick'))
      await consumer.start()
      const flood = await stage.producer.sendBatch(
        Slow,
        Array.from({ length: 30 }, (_, n) => ({ n })),
      )
      await context.eventually('the slow one runs', () => slow.inFlight === 1)
      const few = await stage.producer.sendBatch(
        Quick,
        Array.from({ length: 5 }, (_, n) => ({ n })),
      )
      await context.exactly(quick, few)
      assert.equal(slow.mostInFlight, 1)
      latch.open()
      await context.exactly(slow, flood, { withinMs: context.pace(60_000) })
      assert.equal(slow.mostInFlight, 1)
      assert.ok(
        slow.deliveries.every(({ attempt }) => attempt === 1),
        'waiting counted as an attempt',
      )
    },
  },
  {
    number: 235,
    title: 'With `perKey: 1` no two messages of a key run at once, and different keys do',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const running = new Map<string, number>()
      let mostOfOne = 0
      await stage.consume(recorder, { concurrency: { total: 6, perKey: 1 } }, async ({ key = '' }) => {
        const now = (running.get(key) ?? 0) + 1
        running.set(key, now)
        mostOfOne = Math.max(mostOfOne, now)
        await context.work(50)
        running.set(key, now - 1)
      })
      const sent = (await Promise.all(['a', 'b', 'c'].map((key) => stage.send(5, { key })))).flat()
      await context.exactly(recorder, sent)
      assert.equal(mostOfOne, 1)
      assert.ok(recorder.mostInFlight > 1, 'the keys waited for each other')
    },
  },
  {
    number: 236,
    title: 'A rate limit holds in any stretch of its time, and its wait counts as no attempt',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const perMs = context.pace(1000)
      const store = memoryRateLimitStore({ clock: { monotonic: () => performance.now() } })
      await stage.consume(recorder, {
        retry: { attempts: 1 },
        rateLimit: { max: 4, per: perMs, store },
      })
      const sent = await stage.send(12)
      await context.exactly(recorder, sent)
      const starts = recorder.deliveries.map(({ startedAt }) => startedAt)
      for (const [index, startedAt] of starts.entries()) {
        const later = starts[index + 4]
        if (later === undefined) continue
        assert.ok(
          later - startedAt >= perMs - context.slackMs,
          `5 within ${Math.round(later - startedAt)} ms`,
        )
      }
      const spanMs = (starts.at(-1) ?? 0) - (starts[0] ?? 0)
      assert.ok(spanMs >= 2 * perMs - context.slackMs - clockToleranceMs, 'they came too fast')
      assert.ok(recorder.deliveries.every(({ attempt }) => attempt === 1))
    },
  },
  {
    number: 237,
    title: 'While a rate limit’s store is away nothing is handled and nothing is given up',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      let isAway = true
      const store = {
        take: async () => {
          if (isAway) throw new Error('no connection')
          return 0
        },
      }
      await stage.consume(recorder, {
        retry: { attempts: 1 },
        rateLimit: { max: 1000, per: '1s', store },
      })
      const sent = await stage.send(5)
      await context.eventually(
        'health tells of it',
        async () => (await stage.bus.health()).status === 'degraded',
      )
      await context.quiet()
      assert.equal(recorder.deliveries.length, 0)
      isAway = false
      await context.exactly(recorder, sent)
      assert.equal((await stage.deadLetters()).length, 0)
    },
  },
  {
    number: 238,
    title: 'While a dependency is down the circuit breaker keeps its messages out of the dead letters',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const states: string[] = []
      let isDown = true
      stage.bus.on('breaker', ({ state }) => void states.push(state))
      await stage.consume(
        recorder,
        {
          concurrency: 1,
          retry: { attempts: 4, backoff: fixed(context.pace(50)) },
          circuitBreaker: { minimumCalls: 2, window: '1h', openFor: context.pace(500) },
        },
        () => {
          if (isDown) throw new Error('the dependency is down')
        },
      )
      const sent = await stage.send(8)
      await context.eventually(
        'a probe has failed',
        () => states.filter((state) => state === 'open').length >= 2,
      )
      assert.equal((await stage.bus.health()).status, 'degraded')
      isDown = false
      await context.eventually(
        'all are handled',
        () => sent.every((each) => recorder.of(each).some(({ outcome }) => outcome === 'resolved')),
        context.pace(30_000),
      )
      assert.equal(states.at(-1), 'closed')
      assert.equal((await stage.deadLetters()).length, 0)
    },
  },
  {
    number: 239,
    title: 'What waits for a rate limit goes back to the group when its consumer stops',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const leaving = await context.bus()
      const first = await stage.consume(recorder, {
        bus: leaving,
        // Short enough to wait in hand, and longer than the case.
        rateLimit: { max: 1, per: '4m' },
      })
      const sent = await stage.send(2)
      await context.eventually('one is handled', () => recorder.deliveries.length === 1)
      const { abandoned } = await context.within('it stops', first.stop())
      assert.deepEqual(abandoned, [])
      await stage.consume(recorder)
      await context.exactly(recorder, sent)
      assert.ok(recorder.deliveries.every(({ attempt }) => attempt === 1))
    },
  },
]
