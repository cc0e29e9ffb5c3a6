import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { member, openScene, type Scene, type Type } from '../case/two-types.ts'
import { numbered } from '../fixtures/numbered.ts'

const sendAll = ({ stage }: Scene, types: readonly Type[], count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, n) => types.map((type) => stage.producer.send(type, { n }))).flat(),
  )

async function assertNoneDead({ stage }: Scene): Promise<void> {
  assert.deepEqual(
    (await stage.deadLetters()).map(({ reason }) => reason),
    [],
  )
}

function assertTypes({ recorder }: Scene, name: string, types: readonly Type[]): void {
  const names = types.map(({ type }) => type)
  for (const { message } of recorder.byMember(name)) {
    assert.ok(names.includes(message.type), `${name} got ${message.type}`)
  }
}

function assertFirstAttempts({ recorder }: Scene): void {
  assert.ok(
    recorder.deliveries.every(({ attempt }) => attempt === 1),
    'no attempt was used up',
  )
}

export const unhandled: readonly Case[] = [
  {
    number: 93,
    part: 'a',
    title: 'A rolling deploy that adds a type loses none of it: old members leave it to the new one',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context)
      const { placed, shipped, recorder } = scene
      const old = await member(scene, 'old', [placed])
      await member(scene, 'new', [placed, shipped], { bus: await context.bus() })
      const sent = await sendAll(scene, [placed, shipped], 20)
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      await old.stop()
      const later = await sendAll(scene, [placed, shipped], 5)
      await context.exactly(recorder, [...sent, ...later])
      assertTypes(scene, 'old', [placed])
      assertFirstAttempts(scene)
      await assertNoneDead(scene)
    },
  },
  {
    number: 93,
    part: 'b',
    title: 'A declared type that old members do not know waits for the new member that is deployed after it',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context, { declared: true })
      const { stage, placed, shipped, recorder } = scene
      const deferred = new Set<string | undefined>()
      stage.bus.on('deferred', ({ message }) => deferred.add(message?.id))
      await member(scene, 'old', [placed])
      const sent = await sendAll(scene, [placed, shipped], 10)
      await context.eventually('all of the new type was left to others', () => deferred.size === 10)
      await member(scene, 'new', [placed, shipped], { bus: await context.bus() })
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      assertTypes(scene, 'old', [placed])
      assertFirstAttempts(scene)
      await assertNoneDead(scene)
    },
  },
  {
    number: 93,
    part: 'c',
    title: 'A rolling deploy that removes or renames a type loses nothing while old members still take it',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context)
      const { placed, shipped, recorder } = scene
      await member(scene, 'old', [placed], { bus: await context.bus() })
      await member(scene, 'new', [shipped])
      const sent = await sendAll(scene, [placed, shipped], 20)
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      assertTypes(scene, 'old', [placed])
      assertTypes(scene, 'new', [shipped])
      assertFirstAttempts(scene)
      await assertNoneDead(scene)
    },
  },
  {
    number: 93,
    part: 'd',
    title:
      'What was asked for by members that are gone ends in the dead letters as unhandled, after the stated time',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context)
      const { stage, placed, shipped, recorder } = scene
      const before = await member(scene, 'before', [placed, shipped], { bus: await context.bus() })
      await before.stop()
      const unhandledAfter = context.pace(2000)
      await member(scene, 'now', [placed], { unhandledAfter })
      const sentAt = performance.now()
      const [kept, given] = [
        await stage.producer.send(placed, { n: 1 }),
        await stage.producer.send(shipped, { n: 2 }),
      ]
      await context.eventually(
        'it is dead',
        async () => (await stage.deadLetters()).length === 1,
        context.pace(30_000),
      )
      assert.ok(performance.now() - sentAt >= unhandledAfter, 'not before the stated time')
      const [letter] = await stage.deadLetters()
      assert.equal(letter?.reason, 'unhandled')
      assert.equal(letter?.attempts, 1)
      assert.equal(letter?.message?.id, given.id)
      await context.exactly(recorder, [kept])
    },
  },
  {
    number: 94,
    part: 'a',
    title: 'Consumers of one group in one process share deliveries by type, without any going back and forth',
    async run(context) {
      const scene = await openScene(context)
      const { stage, placed, shipped, recorder } = scene
      const goneBack: unknown[] = []
      stage.bus.on('deferred', ({ message }) => goneBack.push(message?.id))
      stage.bus.on('retried', ({ message }) => goneBack.push(message?.id))
      await member(scene, 'billing', [placed], { concurrency: 2 }, () => context.work(10))
      await member(scene, 'shipping', [shipped], { concurrency: 5 }, () => context.work(10))
      const sent = await sendAll(scene, [placed, shipped], 30)
      await context.exactly(recorder, sent)
      assertTypes(scene, 'billing', [placed])
      assertTypes(scene, 'shipping', [shipped])
      assert.deepEqual(goneBack, [])
      await assertNoneDead(scene)
    },
  },
  {
    number: 94,
    part: 'b',
    title: 'Members of one group in two processes, each with its own type, handle all of both',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context)
      const { stage, placed, shipped, recorder } = scene
      await member(scene, 'billing', [placed])
      await member(scene, 'shipping', [shipped], { bus: await context.bus() })
      const sent = await sendAll(scene, [placed, shipped], 20)
      const stranger = await stage.producer.send(numbered(stage.topic, 'stranger.sent'), { n: 1 })
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      assert.ok(!recorder.ids.includes(stranger.id))
      assertFirstAttempts(scene)
      await assertNoneDead(scene)
    },
  },
  {
    number: 94,
    part: 'c',
    title:
      'A type that nobody in the group ever asked for is skipped, and counted in health or kept from the group',
    async run(context) {
      const scene = await openScene(context)
      const { stage, placed, recorder } = scene
      const skipped = new Set<string | undefined>()
      const deferred: unknown[] = []
      stage.bus.on('unhandled', ({ message }) => skipped.add(message?.id))
      stage.bus.on('deferred', ({ message }) => deferred.push(message?.id))
      await member(scene, 'only', [placed], { concurrency: 1, prefetch: 1 })
      const stranger = numbered(stage.topic, 'stranger.sent')
      const strangers = [
        await stage.producer.send(stranger, { n: 1 }),
        await stage.producer.send(stranger, { n: 2 }),
      ]
      await context.exactly(recorder, await sendAll(scene, [placed], 5))
      await context.eventually('both were skipped', () => strangers.every(({ id }) => skipped.has(id)))
      const { consumers } = await stage.bus.health()
      assert.equal(
        consumers.reduce((sum, { skipped: count = 0 }) => sum + count, 0),
        2,
      )
      assert.deepEqual(deferred, [])
      await assertNoneDead(scene)
    },
  },
  {
    number: 94,
    part: 'd',
    title:
      'What nobody here handles goes to the dead letters at once, or is skipped, where the consumer says so',
    needs: ['severalGroups'],
    async run(context) {
      const [burying, skipping] = [context.unique('burying'), context.unique('skipping')]
      const types = ['order.placed', 'order.shipped']
      const topic = context.topic({ groups: [burying, skipping].map((name) => ({ name, types })) })
      const bus = await context.bus({ topics: [topic] })
      const recorder = context.recorder()
      const placed = numbered(topic, 'order.placed')
      const skipped: string[] = []
      bus.on('unhandled', ({ group }) => skipped.push(group))
      for (const [group, policy] of [
        [burying, 'dead-letter'],
        [skipping, 'skip'],
      ] as const) {
        await bus.consumer(group, { unhandled: policy }).on(placed, recorder.handler(group)).start()
      }
      const producer = bus.producer()
      await producer.send(numbered(topic, 'order.shipped'), { n: 1 })
      const control = await producer.send(placed, { n: 2 })
      await context.exactly(recorder, [control, control])
      const countOf = (group: string) => bus.group(topic, group).deadLetters.count()
      await context.eventually('one is dead', async () => (await countOf(burying)) === 1)
      await context.eventually('one is skipped', () => skipped.length === 1)
      assert.deepEqual(skipped, [skipping])
      assert.equal(await countOf(skipping), 0)
    },
  },
  {
    number: 94,
    part: 'e',
    title:
      'A consumer that pauses or stops loses nothing of what another of its process handles for it, or it for another',
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context)
      const { placed, shipped, recorder } = scene
      const work = () => context.work(300)
      const billing = await member(scene, 'billing', [placed], { concurrency: 2 }, work)
      const shipping = await member(scene, 'shipping', [shipped], { concurrency: 2 }, work)
      const sent = await sendAll(scene, [placed, shipped], 4)
      await context.eventually('both are at work', () =>
        ['billing', 'shipping'].every((name) => recorder.byMember(name).length > 0),
      )
      shipping.pause()
      await context.eventually('it rests', () =>
        recorder.byMember('shipping').every(({ outcome }) => outcome !== undefined),
      )
      shipping.resume()
      await context.eventually('some more are at work', () => recorder.inFlight > 0)
      // What billing holds is handled to its end, whoever handles it.
      const { abandoned } = await billing.stop({ timeout: context.pace(10_000) })
      assert.deepEqual(abandoned, [])
      await member(scene, 'billing', [placed], { bus: await context.bus() }, work)
      await context.exactly(recorder, sent, { withinMs: context.pace(30_000) })
      await assertNoneDead(scene)
    },
  },
  {
    number: 94,
    part: 'f',
    title: 'A key keeps its order over types that different consumers of one process handle',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const recorder = context.recorder()
      const types = [numbered(stage.topic, 'order.placed'), numbered(stage.topic, 'order.shipped')]
      for (const [index, type] of types.entries()) {
        await stage.bus
          .consumer(stage.group)
          .on(
            type,
            recorder.handler(type.type, () => context.work(index === 0 ? 60 : 5)),
          )
          .start()
      }
      const sent: Message[] = []
      for (let n = 0; n < 12; n += 1) {
        const type = types[n % 2]
        if (type !== undefined) sent.push(await stage.producer.send(type, { n, key: 'one' }))
      }
      await context.exactly(recorder, sent)
      assert.deepEqual(
        recorder.ids,
        sent.map(({ id }) => id),
      )
      assert.equal(recorder.mostInFlight, 1)
    },
  },
]
