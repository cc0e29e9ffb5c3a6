import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import type { ChildProcess } from '../case/child-process.ts'
import { checkKeyOrder } from '../case/key-order.ts'
import { member, openScene, type Scene, type Type } from '../case/two-types.ts'

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

/** Processes that are members of one group, each with handlers of some of its types. */
class Processes {
  readonly #context: CaseContext
  readonly #scene: Scene
  readonly #all: ChildProcess[] = []
  readonly #delivered: { readonly id: string; readonly at: number }[] = []

  constructor(context: CaseContext, scene: Scene) {
    this.#context = context
    this.#scene = scene
  }

  /** Of all of them, in the order in which handlers were called. */
  get delivered(): readonly string[] {
    return this.#delivered.toSorted((one, other) => one.at - other.at).map(({ id }) => id)
  }

  get deferred(): Set<string> {
    return new Set(this.#all.flatMap((child) => child.of('deferred').map(({ id }) => id)))
  }

  async start(types: readonly Type[], unhandledAfterMs?: number): Promise<ChildProcess> {
    const { topic, group } = this.#scene.stage
    const child = this.#context.child('consumer-program', {
      ...{ topic, group, types: types.map(({ type }) => type) },
      options: { unhandledAfterMs },
      behaviour: { kind: 'record' },
    })
    this.#all.push(child)
    child.onReport((report) => {
      if (report.type === 'delivered') this.#delivered.push(report)
    })
    await this.#context.eventually('it is ready', () => child.of('ready').length === 1)
    return child
  }

  /** Each was handled once, in the order of its key, by a process that has a handler for it. */
  async assertHandled(expected: readonly Message[]): Promise<void> {
    await this.#context.eventually(
      `${expected.length} are handled`,
      () => expected.every(({ id }) => this.#delivered.some((each) => each.id === id)),
      this.#context.pace(60_000),
      () => this.#delivered.length,
    )
    await this.#context.quiet()
    const { delivered } = this
    for (const key of keys) {
      const ofKey = expected.filter((message) => message.key === key).map(({ id }) => id)
      assert.deepEqual(
        delivered.filter((id) => ofKey.includes(id)),
        ofKey,
      )
    }
    assert.equal(delivered.length, expected.length)
    for (const child of this.#all) assert.ok(child.of('delivered').every(({ attempt }) => attempt === 1))
  }
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
      // Less than what there is of a partition.
      const prefetch = 16
      await member(scene, 'old', [placed], { prefetch })
      const sent = await sendAll(scene, 8)
      await context.eventually('keys wait for others', () => deferred.size > 0)
      await member(scene, 'new', [placed, shipped], { prefetch, bus: await context.bus() })
      await context.exactly(recorder, sent, { withinMs: context.pace(40_000) })
      await assertAllWell(scene, sent)
    },
  },
  {
    number: 260,
    part: 'c',
    title:
      'What no member of an ordered group handles ends in the dead letters after the stated time, and its key goes on',
    requires: ['ordered'],
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
  {
    number: 260,
    part: 'd',
    title:
      'A rolling deploy of processes that adds a type to an ordered topic loses nothing and keeps the order of keys',
    requires: ['ordered'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const scene = await openScene(context, { ordered: true, declared: true })
      const { stage, placed, shipped } = scene
      const processes = new Processes(context, scene)
      const old = await processes.start([placed])
      const before = await sendAll(scene, 4)
      await context.eventually('each key waits for others', () => processes.deferred.size === keys.length)
      await processes.start([placed, shipped])
      const meanwhile = await sendAll(scene, 4)
      await old.terminate()
      const after = await sendAll(scene, 2)
      await processes.assertHandled([...before, ...meanwhile, ...after])
      const types = new Map([...before, ...meanwhile].map(({ id, type }) => [id, type]))
      assert.ok(old.of('delivered').every(({ id }) => types.get(id) === placed.type))
      assert.equal((await stage.deadLetters()).length, 0)
    },
  },
  {
    number: 260,
    part: 'e',
    title:
      'After a deploy that takes a type from an ordered topic, what nobody handles is kept as unhandled, and its keys go on',
    requires: ['ordered'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const scene = await openScene(context, { ordered: true, declared: true })
      const { stage, placed, shipped } = scene
      const processes = new Processes(context, scene)
      const leaving = await processes.start([placed, shipped])
      const before = await sendAll(scene, 2)
      await processes.assertHandled(before)
      const unhandledAfter = context.pace(2500)
      const staying = await processes.start([placed], unhandledAfter)
      await leaving.terminate()
      const sentAt = performance.now()
      const after = await sendAll(scene, 2)
      const dead = after.filter(({ type }) => type === shipped.type)
      const letters = async () => (await stage.deadLetters()).length
      await context.eventually('one is dead', async () => (await letters()) > 0, context.pace(40_000))
      assert.ok(performance.now() - sentAt >= unhandledAfter, 'not before the stated time')
      const isDead = async () => (await letters()) === dead.length
      await context.eventually('all that nobody handles are dead', isDead, context.pace(60_000))
      const kept = await stage.deadLetters()
      assert.ok(kept.every(({ reason }) => reason === 'unhandled'))
      assert.deepEqual(kept.map(({ message }) => message?.id).sort(), dead.map(({ id }) => id).sort())
      const alive = after.filter(({ type }) => type === placed.type)
      await processes.assertHandled([...before, ...alive])
      // What was kept reaches the process that handles it again.
      await staying.terminate()
      await processes.start([placed, shipped])
      await stage.bus.group(stage.topic, stage.group).deadLetters.replayAll()
      await context.eventually('they are handled', () =>
        dead.every(({ id }) => processes.delivered.includes(id)),
      )
    },
  },
]
