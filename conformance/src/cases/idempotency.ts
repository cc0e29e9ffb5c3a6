import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fixed, type IdempotencyStore, memoryIdempotencyStore } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import type { Recorder } from '../case/recorder.ts'
import { EffectDatabase } from '../fixtures/effect-database.ts'
import { numbered } from '../fixtures/numbered.ts'

async function openDatabase(context: CaseContext): Promise<{ path: string; database: EffectDatabase }> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-conformance-'))
  const path = join(folder, 'effects.sqlite')
  const database = new EffectDatabase(path)
  context.defer(async () => {
    database.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { path, database }
}

export const idempotency: readonly Case[] = [
  {
    number: 74,
    part: 'a',
    title: 'A message sent twice with the same id has one effect',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { idempotency: memoryIdempotencyStore() })
      const first = await stage.sendOne()
      await context.eventually('it is handled', () => recorder.deliveries[0]?.outcome === 'resolved')
      await stage.sendOne({ id: first.id })
      const control = await stage.sendOne()
      await context.exactly(recorder, [first, control])
    },
  },
  {
    number: 74,
    part: 'b',
    title: 'An id has an effect for each type and each topic it is sent with',
    async run(context) {
      const stage = await context.stage()
      const other = await context.stage({ bus: stage.bus, topic: { groups: [stage.group] } })
      const recorder = context.recorder()
      const shipped = numbered(stage.topic, 'order.shipped')
      await stage.bus
        .consumer(stage.group, { idempotency: memoryIdempotencyStore() })
        .on(stage.message, recorder.handler('placed'))
        .on(shipped, recorder.handler('shipped'))
        .on(other.message, recorder.handler('other topic'))
        .start()
      const id = context.unique('order')
      await stage.sendOne({ id })
      await stage.producer.send(shipped, { n: 2 }, { id })
      await other.sendOne({ id })
      await context.exactly(recorder, [{ id }, { id }, { id }])
      for (const member of ['placed', 'shipped', 'other topic'])
        assert.equal(recorder.byMember(member).length, 1, member)
    },
  },
  {
    number: 75,
    title:
      'A consumer killed between its effect and its ack leaves one effect, with the mark in the same transaction',
    needs: ['processes'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const { path, database } = await openDatabase(context)
      const lease = context.pace(1000)
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { lease },
        behaviour: { kind: 'effect-then-hang', database: path },
      })
      await context.eventually('the child is ready', () => child.of('ready').length === 1)
      const sent = await stage.sendOne()
      await context.eventually('the child has had its effect', () => child.of('effect').length === 1)
      await child.kill()
      const recorder = context.recorder()
      const duplicates: (string | undefined)[] = []
      stage.bus.on('duplicate', ({ message }) => duplicates.push(message?.id))
      await stage.consume(recorder, { lease, idempotency: database.store }, ({ id }) => database.effect(id))
      const control = await stage.sendOne()
      const withinMs = lease + context.capabilities.redeliveryMs + context.pace(15_000)
      await context.eventually('the redelivery is recognised', () => duplicates.includes(sent.id), withinMs)
      await context.exactly(recorder, [control])
      assert.deepEqual(database.effects().sort(), [sent.id, control.id].sort())
    },
  },
  {
    number: 76,
    title: 'A handler that fails leaves no mark: its retry has the effect',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry, idempotency: memoryIdempotencyStore() }, (_, { attempt }) => {
        if (attempt <= 2) throw new Error('fails twice')
      })
      const sent = await stage.sendOne()
      await context.exactly(recorder, [sent, sent, sent])
      assert.equal(recorder.deliveries[2]?.outcome, 'resolved')
    },
  },
  {
    number: 77,
    part: 'a',
    title:
      'Of simultaneous duplicates at two members one has the effect, the other waits and uses up no attempt',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const idempotency = { store: memoryIdempotencyStore(), lease: context.pace(500) }
      const finished: string[] = []
      stage.bus.on('duplicate', ({ message, state }) => state === 'done' && finished.push(message?.id ?? ''))
      const other = await context.bus()
      other.on('duplicate', ({ message, state }) => state === 'done' && finished.push(message?.id ?? ''))
      const options = { idempotency, concurrency: 1, prefetch: 1, retry: { attempts: 1 } }
      for (const [member, bus] of [['one', stage.bus] as const, ['two', other] as const]) {
        await stage.consume(recorder, { ...options, member, bus }, () => context.work(400))
      }
      const id = context.unique('message')
      await Promise.all([stage.sendOne({ id }), stage.sendOne({ id }), stage.sendOne({ id })])
      await context.eventually('both duplicates are through', () => finished.length === 2)
      await context.exactly(recorder, [{ id }])
      assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.count(), 0)
    },
  },
  {
    number: 77,
    part: 'b',
    title: 'Of simultaneous duplicates in two processes one has the effect',
    needs: ['processes'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const { path, database } = await openDatabase(context)
      const children = [1, 2].map(() =>
        context.child('consumer-program', {
          topic: stage.topic,
          group: stage.group,
          options: { concurrency: 4 },
          behaviour: { kind: 'effect', database: path, durationMs: context.pace(200) },
        }),
      )
      await context.eventually('both children are ready', () =>
        children.every((child) => child.of('ready').length === 1),
      )
      const ids = Array.from({ length: 5 }, () => context.unique('message'))
      const control = await stage.sendOne()
      await Promise.all(ids.flatMap((id) => [stage.sendOne({ id }), stage.sendOne({ id })]))
      const everything = [...ids, control.id].sort()
      const isEmpty = async () => {
        const {
          waiting = 0,
          inFlight = 0,
          delayed = 0,
        } = await stage.bus.group(stage.topic, stage.group).stats()
        return waiting + inFlight + delayed === 0 && database.effects().length >= everything.length
      }
      await context.eventually('nothing is left to handle', isEmpty, context.pace(30_000))
      await context.quiet()
      assert.deepEqual(database.effects().sort(), everything)
    },
  },
  {
    number: 77,
    part: 'c',
    title:
      'A store that is away stops the handlers, uses up no attempts, shows in health, and they go on when it is back',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const own = memoryIdempotencyStore()
      let isAway = true
      const store: IdempotencyStore = {
        ...own,
        begin: (mark, leaseMs) =>
          isAway ? Promise.reject(new Error('the store is away')) : own.begin(mark, leaseMs),
      }
      let failures = 0
      stage.bus.on('failure', ({ what }) => {
        if (what.includes('idempotency store')) failures += 1
      })
      await stage.consume(recorder, { idempotency: store, retry: { attempts: 1 } })
      const sent = await stage.send(20)
      await context.eventually('the store was asked several times', () => failures >= 3)
      assert.equal(recorder.deliveries.length, 0)
      assert.equal((await stage.bus.health()).status, 'degraded')
      isAway = false
      await context.exactly(recorder, sent)
      assert.ok(recorder.deliveries.every(({ attempt }) => attempt === 1))
      assert.equal((await stage.deadLetters()).length, 0)
      assert.equal((await stage.bus.health()).status, 'up')
    },
  },
  {
    number: 77,
    part: 'd',
    title: 'A handler that hangs and has lost its message does not keep others from handling it',
    requires: ['lease'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const idempotency = { store: memoryIdempotencyStore(), lease: context.pace(500) }
      const { promise: over, resolve: end } = Promise.withResolvers<void>()
      context.defer(end)
      const options = { idempotency, lease: context.pace(1000), maxLease: context.pace(1000) }
      await stage.consume(recorder, options, () => (recorder.deliveries.length === 1 ? over : undefined))
      const sent = await stage.sendOne()
      const withinMs = context.pace(20_000) + context.capabilities.redeliveryMs
      await context.eventually(
        'it is handled again',
        () => recorder.deliveries[1]?.outcome === 'resolved',
        withinMs,
      )
      await context.exactly(recorder, [sent, sent])
    },
  },
  {
    number: 78,
    title: 'A mark is forgotten when its window is over, and each group has its own',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({ topic: { groups: [context.unique('one'), context.unique('two')] } })
      const window = context.pace(1000)
      const idempotency = { store: memoryIdempotencyStore(), window }
      const recorders: Recorder[] = []
      for (const { name: group } of stage.topic.groups) {
        const recorder = context.recorder()
        recorders.push(recorder)
        await stage.consume(recorder, { group, idempotency })
      }
      const first = await stage.sendOne()
      await context.eventually('both groups have handled it', () =>
        recorders.every(({ deliveries }) => deliveries[0]?.outcome === 'resolved'),
      )
      const handledAt = performance.now()
      await stage.sendOne({ id: first.id })
      const control = await stage.sendOne()
      for (const recorder of recorders) await context.exactly(recorder, [first, control])
      await context.eventually('the window is over', () => performance.now() > handledAt + window + 100)
      await stage.sendOne({ id: first.id })
      for (const recorder of recorders) await context.exactly(recorder, [first, control, first])
    },
  },
]
