import assert from 'node:assert/strict'
import { fixed, type Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { checkKeyOrder } from '../case/key-order.ts'
import { Latch } from '../case/latch.ts'
import type { Recorder } from '../case/recorder.ts'
import type { Stage } from '../case/stage.ts'

const keys = Array.from({ length: 16 }, (_, index) => `key-${index}`)

function orderedStage(context: CaseContext): Promise<Stage> {
  return context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
}

/** The same count for each key, their messages interleaved. */
async function sendToAllKeys(stage: Stage, count: number): Promise<Message[]> {
  const data = Array.from({ length: count }, (_, n) => keys.map((key) => ({ n, key }))).flat()
  return stage.producer.sendBatch(stage.message, data)
}

function assertKeyOrder(recorder: Recorder, sent: readonly Message[], redeliveryBudget = 0): void {
  const { violations, redeliveries } = checkKeyOrder(recorder.deliveries, sent)
  assert.deepEqual(violations.slice(0, 5), [], `${violations.length} violations of the order of a key`)
  assert.ok(redeliveries <= redeliveryBudget, `${redeliveries} redeliveries, ${redeliveryBudget} allowed`)
}

export const order: readonly Case[] = [
  {
    number: 51,
    title:
      '64 messages of each of 16 keys reach several concurrent consumers in order, one at a time within a key',
    requires: ['ordered'],
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      for (const member of ['one', 'two', 'three']) {
        await stage.consume(recorder, { member, concurrency: 8, bus: await context.bus() }, () =>
          context.work(Math.random() * 3),
        )
      }
      const sent = await sendToAllKeys(stage, 64)
      await context.exactly(recorder, sent)
      assertKeyOrder(recorder, sent)
    },
  },
  {
    number: 52,
    part: 'a',
    title: 'The order of a key holds when a message at its head fails',
    requires: ['ordered'],
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      // All of it is there before the first head fails.
      const heads = await sendToAllKeys(stage, 1)
      const rest = await stage.producer.sendBatch(
        stage.message,
        [1, 2, 3, 4].flatMap((n) => keys.map((key) => ({ n, key }))),
      )
      const failing = new Set(heads.map(({ id }) => id))
      const retry = { backoff: fixed(context.pace(100)) }
      await stage.consume(recorder, { retry, concurrency: 8 }, ({ id }, { attempt }) => {
        if (failing.has(id) && attempt <= 2) throw new Error('the head of a key fails twice')
      })
      await context.exactly(recorder, [...heads, ...heads, ...heads, ...rest])
      assertKeyOrder(recorder, [...heads, ...rest])
    },
  },
  {
    number: 52,
    part: 'b',
    title: 'The order of a key holds while members join and leave, nothing is lost and little is repeated',
    requires: ['ordered'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const concurrency = 4
      const join = async (member: string) =>
        stage.consume(recorder, { member, concurrency, bus: await context.bus() }, () => context.work(5))
      const handled = (count: number) =>
        context.eventually(
          `${count} were handled`,
          () => recorder.deliveries.filter(({ outcome }) => outcome === 'resolved').length >= count,
          context.pace(30_000),
        )
      const first = await join('first')
      const sent = await sendToAllKeys(stage, 24)
      await handled(60)
      const second = await join('second')
      await handled(120)
      await first.stop()
      await handled(180)
      await join('third')
      await handled(240)
      await second.stop()
      await context.eventually(
        'everything was handled',
        () => sent.every((message) => recorder.of(message).some(({ outcome }) => outcome === 'resolved')),
        context.pace(30_000),
      )
      await context.quiet()
      // At each change, what was running may be repeated.
      assertKeyOrder(recorder, sent, 4 * concurrency)
    },
  },
  {
    number: 53,
    title: 'Different keys are handled in parallel',
    requires: ['ordered'],
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const together = new Latch()
      context.defer(() => together.open())
      await stage.consume(recorder, { concurrency: 16 }, () => together.passed())
      const sent = await sendToAllKeys(stage, 2)
      await context.eventually('four keys are handled at once', () => recorder.inFlight >= 4)
      together.open()
      await context.exactly(recorder, sent)
      assertKeyOrder(recorder, sent)
    },
  },
  {
    number: 54,
    part: 'a',
    title: 'The order of awaited sends holds from one connection to another',
    requires: ['ordered'],
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4 })
      const producers = [stage.producer, (await context.bus()).producer()]
      const sent: Message[] = []
      for (let n = 0; n < 40; n += 1) {
        const producer = producers[n % producers.length] ?? stage.producer
        sent.push(await producer.send(stage.message, { n, key: 'shared' }))
      }
      await context.exactly(recorder, sent)
      assertKeyOrder(recorder, sent)
    },
  },
  {
    number: 54,
    part: 'b',
    title: 'The order of awaited sends holds from one process to another',
    requires: ['ordered'],
    needs: ['processes'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4 })
      const children = [1, 2].map(() => context.child('producer-program', { topic: stage.topic }))
      await context.eventually('both children are ready', () =>
        children.every((child) => child.of('ready').length === 1),
      )
      const ids: string[] = []
      for (let n = 0; n < 30; n += 1) {
        const child = children[n % 2]
        assert.ok(child)
        child.tell({ type: 'send', n, key: 'shared' })
        await context.eventually(`number ${n} is sent`, () =>
          child.of('sent').some((report) => report.n === n),
        )
        ids.push(...child.of('sent').flatMap((report) => (report.n === n ? report.id : [])))
      }
      await context.exactly(
        recorder,
        ids.map((id) => ({ id })),
      )
      assert.deepEqual(recorder.ids, ids)
    },
  },
]
