import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { checkKeyOrder } from '../case/key-order.ts'
import { member, openScene, type Scene } from '../case/two-types.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

/** Of each key both types in turn, in the order of their numbers. */
async function sendAll({ stage, placed, shipped }: Scene, count: number): Promise<readonly Message[]> {
  const sent: Message[] = []
  for (let n = 0; n < count; n += 1) {
    const typeOf = (index: number) => ((n + index) % 2 === 0 ? placed : shipped)
    sent.push(
      ...(await Promise.all(keys.map((key, index) => stage.producer.send(typeOf(index), { n, key })))),
    )
  }
  return sent
}

async function assertAllWell({ stage, shipped, recorder }: Scene, sent: readonly Message[]): Promise<void> {
  assert.deepEqual(checkKeyOrder(recorder.deliveries, sent).violations, [])
  assert.ok(recorder.byMember('old').every(({ message }) => message.type !== shipped.type))
  assert.ok(
    recorder.deliveries.every(({ attempt }) => attempt === 1),
    'no attempt was used up',
  )
  assert.deepEqual(
    (await stage.deadLetters()).map(({ reason }) => reason),
    [],
  )
}

/** What a member of an ordered topic does with a type that it has no handler for, and others have. */
export const unhandledKeys: readonly Case[] = [
  {
    number: 260,
    part: 'a',
    title: 'A member lets another process have the keys whose types it does not handle; their order stays',
    requires: ['ordered', 'yieldsKeys'],
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context, { ordered: true, declared: true })
      const { placed, shipped, recorder } = scene
      await member(scene, 'old', [placed])
      await member(scene, 'new', [placed, shipped], { bus: await context.bus() })
      const sent = await sendAll(scene, 4)
      await context.exactly(recorder, sent, { withinMs: context.pace(40_000) })
      await assertAllWell(scene, sent)
    },
  },
  {
    number: 260,
    part: 'b',
    title: 'Keys that wait at the old member go to the new one that is deployed after it; their order stays',
    requires: ['ordered', 'yieldsKeys'],
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context, { ordered: true, declared: true })
      const { stage, placed, shipped, recorder } = scene
      const deferred = new Set<string | undefined>()
      stage.bus.on('deferred', ({ message }) => deferred.add(message?.id))
      await member(scene, 'old', [placed])
      const sent = await sendAll(scene, 4)
      await context.eventually('each key waits for others', () => deferred.size === keys.length)
      await member(scene, 'new', [placed, shipped], { bus: await context.bus() })
      await context.exactly(recorder, sent, { withinMs: context.pace(40_000) })
      await assertAllWell(scene, sent)
    },
  },
  {
    number: 260,
    part: 'c',
    title:
      'What no member of an ordered group handles ends in the dead letters after the stated time, and its key goes on',
    requires: ['ordered', 'yieldsKeys'],
    timeoutMs: 120_000,
    async run(context) {
      const scene = await openScene(context, { ordered: true, declared: true })
      const { stage, placed, shipped, recorder } = scene
      const unhandledAfter = context.pace(2500)
      const options = { unhandledAfter }
      await member(scene, 'one', [placed], options)
      await member(scene, 'other', [placed], { ...options, bus: await context.bus() })
      const sentAt = performance.now()
      const nobodys = await stage.producer.send(shipped, { n: 1, key: 'a' })
      const behind = await stage.producer.send(placed, { n: 2, key: 'a' })
      const isDead = async () => (await stage.deadLetters()).length === 1
      await context.eventually('it is dead', isDead, context.pace(40_000))
      assert.ok(performance.now() - sentAt >= unhandledAfter, 'not before the stated time')
      const [letter] = await stage.deadLetters()
      assert.equal(letter?.reason, 'unhandled')
      assert.equal(letter?.message?.id, nobodys.id)
      await context.exactly(recorder, [behind], { withinMs: context.pace(20_000) })
    },
  },
]
