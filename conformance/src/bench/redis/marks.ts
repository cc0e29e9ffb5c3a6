import assert from 'node:assert/strict'
import { redisIdempotencyStore, redisRateLimitStore } from '@waybill/adapter-redis'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { plainly } from './plain-client.ts'

function storeOf(context: CaseContext) {
  const store = redisIdempotencyStore(context.harness.connection.url)
  context.defer(() => store.close())
  return store
}

function limitOf(context: CaseContext) {
  const store = redisRateLimitStore(context.harness.connection.url)
  context.defer(() => store.close())
  return store
}

const forgetScripts = (context: CaseContext) =>
  plainly(context.harness.connection.url, (client) => client.script('FLUSH'))

export const marks: readonly Case[] = [
  {
    number: 205,
    part: 'a',
    title: 'A mark in Redis belongs to one token until its lease ends, and is done for as long as its window',
    async run(context) {
      const [one, other] = [storeOf(context), storeOf(context)]
      const mark = {
        group: context.unique('group'),
        topic: 'orders',
        type: 'order.placed',
        source: 'a:b',
        id: 'c',
      }
      const leaseMs = context.pace(1000)
      const first = await one.begin(mark, leaseMs)
      assert.ok(first.state === 'started')
      const second = await other.begin(mark, leaseMs)
      assert.ok(second.state === 'processing' && second.remainingMs > 0 && second.remainingMs <= leaseMs)
      // Parts that only look alike when put together are other marks.
      assert.equal((await other.begin({ ...mark, source: 'a', id: 'b:c' }, leaseMs)).state, 'started')
      let later = await other.begin(mark, leaseMs)
      await context.eventually('the lease ends', async () => {
        later = await other.begin(mark, leaseMs)
        return later.state === 'started'
      })
      assert.ok(later.state === 'started')
      await one.complete(mark, first.token, leaseMs)
      await one.abandon(mark, first.token)
      assert.equal(await one.extend(mark, first.token, leaseMs), false, 'the old token owns nothing')
      assert.equal((await one.begin(mark, leaseMs)).state, 'processing')
      assert.equal(await other.extend(mark, later.token, 60_000), true)
      const extended = await one.begin(mark, leaseMs)
      assert.ok(extended.state === 'processing' && extended.remainingMs > leaseMs)
      await forgetScripts(context)
      await other.complete(mark, later.token, leaseMs)
      assert.equal((await one.begin(mark, leaseMs)).state, 'done')
      await context.eventually('the window ends', async () => (await one.begin(mark, 1)).state === 'started')
    },
  },
  {
    number: 205,
    part: 'b',
    title: 'With marks in Redis, simultaneous duplicates at two members have one effect',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      for (const member of ['one', 'two']) {
        const idempotency = storeOf(context)
        await stage.consume(recorder, { member, idempotency, bus: await context.bus() }, () =>
          context.work(20),
        )
      }
      const ids = Array.from({ length: 40 }, () => context.unique('message'))
      await Promise.all([...ids, ...ids, ...ids].map((id) => stage.sendOne({ id })))
      const isEmpty = async () => {
        const { waiting, inFlight, delayed } = await stage.bus.group(stage.topic, stage.group).stats()
        return waiting === 0 && inFlight === 0 && delayed === 0
      }
      await context.eventually(
        'nothing is left',
        isEmpty,
        context.pace(30_000),
        () => recorder.deliveries.length,
      )
      await context.exactly(
        recorder,
        ids.map((id) => ({ id })),
      )
    },
  },
  {
    number: 205,
    part: 'c',
    title: 'A rate limit in Redis is shared by all who use it, and holds in any stretch of its time',
    async run(context) {
      const [one, other] = [limitOf(context), limitOf(context)]
      const perMs = context.pace(1000)
      const take = { name: context.unique('limit'), key: '', max: 3, perMs }
      const answers = await Promise.all([one, other, one, other, one].map((store) => store.take(take)))
      assert.equal(answers.filter((waitMs) => waitMs === 0).length, 3)
      assert.ok(answers.every((waitMs) => waitMs >= 0 && waitMs <= perMs))
      assert.equal(
        await one.take({ ...take, name: `${take.name} other` }),
        0,
        'another name is another limit',
      )
      await forgetScripts(context)
      await context.eventually('it lets more through', async () => (await other.take(take)) === 0)
    },
  },
  {
    number: 206,
    title:
      'Within the deduplication window a second message of an id is dropped, delayed or not; later it is not',
    async run(context) {
      const deduplication = context.pace(2000)
      const stage = await context.stage({
        topic: { groups: [context.unique('group')], native: { redis: { deduplication } } },
      })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const first = await stage.sendOne()
      const [delayed, neighbour] = await Promise.all([stage.sendOne({ delay: 100 }), stage.sendOne()])
      for (const { id } of [first, delayed, neighbour]) {
        await stage.sendOne({ id })
        await stage.sendOne({ id, delay: 50 })
      }
      await context.exactly(recorder, [first, delayed, neighbour])
      await context.eventually('the window is over', async () => {
        await stage.sendOne({ id: first.id })
        return recorder.of(first).length === 2
      })
    },
  },
  {
    number: 207,
    title: 'Sends, deliveries and settlements go on when the server forgets its scripts',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { retry: { backoff: fixed(1) } }, ({ id }, { attempt }) => {
        if (attempt === 1 && id.endsWith('0')) throw new Error('fails once')
      })
      const sent = []
      for (let round = 0; round < 20; round += 1) {
        await forgetScripts(context)
        const ids = Array.from({ length: 10 }, (_, index) => `${context.unique('message')}-${index}`)
        sent.push(...(await Promise.all(ids.map((id) => stage.sendOne({ id })))))
      }
      await context.exactly(recorder, [...sent, ...sent.filter(({ id }) => id.endsWith('0'))])
    },
  },
]
