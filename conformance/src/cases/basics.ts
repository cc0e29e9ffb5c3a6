import assert from 'node:assert/strict'
import { BatchError, MessagingError } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { numbered, numberInBody } from '../fixtures/numbered.ts'

export const basics: readonly Case[] = [
  {
    number: 1,
    title: 'Of 100 messages each is delivered exactly once, and nothing else is',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, await stage.send(100))
    },
  },
  {
    number: 2,
    title: 'What is sent to a declared group before its first consumer starts is kept for it',
    async run(context) {
      const stage = await context.stage()
      const early = await stage.send(20)
      const recorder = context.recorder()
      await stage.consume(recorder)
      const late = await stage.sendOne()
      await context.exactly(recorder, [...early, late])
    },
  },
  {
    number: 3,
    title: 'Once start() has resolved the next message sent arrives, in a group that did not exist before',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage()
      for (let round = 0; round < 3; round += 1) {
        const recorder = context.recorder()
        const consumer = await stage.consume(recorder, {
          group: context.unique('group'),
          allowUndeclaredGroup: true,
        })
        await context.exactly(recorder, [await stage.sendOne()])
        await consumer.stop()
      }
    },
  },
  {
    number: 4,
    title: 'What is sent to one topic never reaches another, though group and type have the same names',
    async run(context) {
      const groups = [context.unique('group')]
      const one = await context.stage({ topic: { groups } })
      const other = await context.stage({ topic: { groups }, bus: one.bus })
      const atOne = context.recorder()
      const atOther = context.recorder()
      await one.consume(atOne)
      await other.consume(atOther)
      const toOne = await one.send(10)
      const toOther = await other.send(1)
      await context.exactly(atOther, toOther)
      await context.exactly(atOne, toOne)
    },
  },
  {
    number: 5,
    title: '20 topics in use at once each deliver their own messages and no others',
    async run(context) {
      const bus = await context.bus()
      const stages = await Promise.all(Array.from({ length: 20 }, () => context.stage({ bus })))
      await Promise.all(
        stages.map(async (stage) => {
          const recorder = context.recorder()
          await stage.consume(recorder)
          await context.exactly(recorder, await stage.send(20))
        }),
      )
    },
  },
  {
    number: 6,
    part: 'a',
    title: 'A batch of more messages than the broker takes at once is split, and all of it arrives',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 50 })
      const count = context.capabilities.publishBatchSize * 2 + 7
      const sent = await stage.sendBatch(count)
      assert.equal(sent.length, count)
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 6,
    part: 'b',
    title: 'A batch of more bytes than the broker takes at once is split, and all of it arrives',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      // 1.25 MiB: above what SQS takes in one call, and more than one frame anywhere.
      const metadata = { padding: 'x'.repeat(1024) }
      const messages = numbered(stage.topic, 'large.sent')
      const body = 'x'.repeat(64 * 1024)
      await stage.bus.consumer(stage.group).on(messages, recorder.handler()).start()
      const sent = await stage.producer.sendBatch(
        messages,
        Array.from({ length: 20 }, (_, n) => ({ n, key: body })),
        { metadata },
      )
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 7,
    part: 'a',
    title: 'A batch of which the broker refuses a part names exactly the refused messages',
    async run(context) {
      const refused = (n: number) => n % 3 === 0
      const adapter = wrapAdapter(context.harness.adapter, {
        async publish(batch, forward) {
          const isRefused = batch.map(({ body }) => refused(numberInBody(body)))
          const outcomes = (await forward(batch.filter((_, index) => isRefused[index] === false))).values()
          return isRefused.map((no) => {
            if (!no) return outcomes.next().value ?? assert.fail('fewer outcomes than messages')
            return {
              ok: false,
              error: new MessagingError('rejected', 'refused by the case', { fate: 'not-sent' }),
            }
          })
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const error = await stage.sendBatch(10).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof BatchError, `not a BatchError: ${String(error)}`)
      assert.deepEqual(
        error.failures.map(({ index, error: { fate } }) => [index, fate]),
        [2, 5, 8].map((index) => [index, 'not-sent']),
      )
      assert.equal(error.sent.length, 7)
      await context.exactly(recorder, error.sent)
    },
  },
  {
    number: 7,
    part: 'b',
    title: 'A batch cut off in the middle names every message that may not have arrived, and no other',
    needs: ['proxy'],
    async run(context) {
      const { options, proxy } = await context.proxied()
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 50 })
      // Provisioned and connected before, so that the time of the sends is spent on them.
      const cut = await context.bus({ ...options, topics: [stage.topic] })
      const first = await cut.producer().send(stage.message, { n: -1 })
      cut.on('sent', () => proxy.blackhole())
      const producer = cut.producer({ timeout: context.pace(2000), maxInFlightBytes: 512 * 1024 })
      const padding = 'x'.repeat(8 * 1024)
      const data = Array.from({ length: 1000 }, (_, n) => ({ n, key: padding }))
      const error = await producer.sendBatch(stage.message, data).catch((thrown: unknown) => thrown)
      assert.ok(error instanceof BatchError, `not a BatchError: ${String(error)}`)
      assert.ok(error.sent.length > 0, 'nothing was sent before the cut')
      assert.equal(error.sent.length + error.failures.length, data.length)
      proxy.heal()
      const control = await stage.sendOne()
      const may = error.failures.filter(({ error: { fate } }) => fate === 'unknown')
      const expected = [first, ...error.sent, control]
      await context.eventually('everything sent and the control arrive', () => {
        const ids = new Set(recorder.ids)
        return expected.every(({ id }) => ids.has(id))
      })
      await context.quiet()
      const allowed = new Set([...expected, ...may].map(({ id }) => id))
      assert.deepEqual(
        recorder.ids.filter((id) => !allowed.has(id)),
        [],
        'messages that were reported as certainly not sent arrived',
      )
    },
  },
  {
    number: 8,
    title: 'A message whose send has resolved survives a SIGKILL of its producer at once after',
    needs: ['processes'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      for (let round = 1; round <= 3; round += 1) {
        const child = context.child('producer-program', { topic: stage.topic })
        const enough = new Promise<void>((resolve) => {
          child.onReport((report) => {
            if (report.type === 'ready') child.tell({ type: 'send-without-end' })
            if (child.of('sent').length === 10 * round) resolve(child.kill())
          })
        })
        await context.within('the child sends and is killed', enough)
        const sent = child.of('sent').map(({ id }) => id)
        await context.eventually('every message whose send resolved arrives', () =>
          sent.every((id) => recorder.ids.includes(id)),
        )
      }
      await context.quiet()
      assert.equal(new Set(recorder.ids).size, recorder.deliveries.length, 'duplicates')
    },
  },
]
