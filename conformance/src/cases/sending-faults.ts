import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { defineMessage, defineTopic, InvalidMessageError, MessagingError } from '@waybill/core'
import { systemClock } from '@waybill/core/driver'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import { type CaseContext, clockToleranceMs } from '../case/case-context.ts'
import { spyAdapter } from '../case/spy-adapter.ts'
import type { Stage } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { numbered } from '../fixtures/numbered.ts'

const refused = new MessagingError('rejected', 'Refused by the case', { retryable: true, fate: 'not-sent' })

/** A stage whose broker refuses the messages of one id, for a reason that may go away. */
async function refusing(context: CaseContext, ordered: boolean): Promise<Stage> {
  const adapter = wrapAdapter(context.harness.adapter, {
    async publish(batch, forward) {
      // As drivers do: on an ordered topic the later messages of a key are withheld.
      const keys = new Set<string>()
      const taken = batch.filter(({ id, key = '' }) => {
        if (id.startsWith('refused')) keys.add(key)
        return !id.startsWith('refused') && !(ordered && keys.has(key))
      })
      const outcomes = taken.length === 0 ? [] : await forward(taken)
      return batch.map((message) => outcomes[taken.indexOf(message)] ?? { ok: false, error: refused })
    },
  })
  return context.stage({ topic: { ordered }, connect: { adapter } })
}

const hourMs = 3_600_000

export const sendingFaults: readonly Case[] = [
  {
    number: 99,
    part: 'a',
    title: 'close() waits for every send that was accepted: those that wait for room, a schema or middleware',
    async run(context) {
      const stage = await context.stage()
      const bus = await context.bus()
      const pauseMs = context.pace(150)
      const schema = z.object({ n: z.number() }).refine(() => wait(pauseMs, true))
      const slow = defineMessage(stage.topic, 'number.sent', { schema })
      const narrow = bus.producer({ maxInFlightBytes: 1, timeout: context.sendTimeoutMs })
      const delayed = bus.producer({ timeout: context.sendTimeoutMs }).use(async (_, next) => {
        await wait(pauseMs)
        await next()
      })
      const sending = Promise.all([
        ...[1, 2, 3, 4].map((n) => narrow.send(stage.message, { n })),
        narrow.send(slow, { n: 5 }),
        delayed.send(stage.message, { n: 6 }),
      ])
      await Promise.all([bus.close({ timeout: context.sendTimeoutMs }), sending])
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, await sending)
    },
  },
  {
    number: 99,
    part: 'b',
    title: 'A message that is refused again and again holds up no other of its topic',
    async run(context) {
      const stage = await refusing(context, false)
      const recorder = context.recorder()
      await stage.consume(recorder)
      const timeout = context.sendTimeoutMs
      const bad = stage.producer.send(stage.message, { n: 0 }, { id: context.unique('refused'), timeout })
      bad.catch(() => {})
      await wait(context.pace(20))
      const sent = await context.within('30 others are sent', stage.send(30, { timeout: timeout / 2 }))
      await context.exactly(recorder, sent)
    },
  },
  {
    number: 99,
    part: 'c',
    title: 'On an ordered topic a message that is refused again and again holds up only its key',
    requires: ['ordered'],
    async run(context) {
      const stage = await refusing(context, true)
      const recorder = context.recorder()
      await stage.consume(recorder)
      const timeout = context.sendTimeoutMs
      const bad = stage.producer.send(
        stage.message,
        { n: 0, key: 'held' },
        { id: context.unique('refused'), timeout },
      )
      bad.catch(() => {})
      await wait(context.pace(20))
      let isOvertaken = false
      stage.sendOne({ timeout }, { key: 'held' }).then(
        () => {
          isOvertaken = true
        },
        () => {},
      )
      const sent = await context.within(
        'those of another key are sent',
        stage.send(30, { timeout: timeout / 2 }, { key: 'free' }),
      )
      await context.exactly(recorder, sent)
      assert.equal(isOvertaken, false, 'a later message of the key was sent before the refused one')
    },
  },
  {
    number: 99,
    part: 'd',
    title: 'Two definitions of one topic, each with a group of its own: what either sends is kept for both',
    async run(context) {
      const bus = await context.bus()
      const name = context.unique('topic')
      const groups = [context.unique('group'), context.unique('group')]
      const definitions = groups.map((group) => numbered(defineTopic(name, { groups: [group] })))
      const producer = bus.producer({ timeout: context.sendTimeoutMs })
      for (const definition of definitions) await producer.send(definition, { n: 0 }, { id: 'first' })
      const sent = []
      for (const [n, definition] of definitions.entries()) sent.push(await producer.send(definition, { n }))
      for (const [index, group] of groups.entries()) {
        const definition = definitions[index]
        assert.ok(definition)
        const recorder = context.recorder()
        const handle = recorder.handler()
        await bus
          .consumer(group)
          .on(definition, async (message, handling) => {
            if (message.id !== 'first') await handle(message, handling)
          })
          .start()
        await context.exactly(recorder, sent)
      }
      const otherwise = numbered(defineTopic(name, { partitions: 3 }))
      await assert.rejects(producer.send(otherwise, { n: 1 }), /partitions: 8 .*partitions: 3/)
    },
  },
  {
    number: 99,
    part: 'e',
    title: 'Data that JSON would leave out or change is refused with its path, and nothing is sent',
    async run(context) {
      const { adapter, published } = spyAdapter(context.harness.adapter)
      const stage = await context.stage({ connect: { adapter } })
      const anything = defineMessage(stage.topic, 'anything.sent', { schema: z.unknown() })
      const wrong = [new Map([[1, 2]]), new Set([1]), Number.NaN, 1n, () => {}, new Uint16Array(2), 2 ** 53]
      for (const value of wrong) {
        await assert.rejects(stage.producer.send(anything, { list: [{ value }] }), (error) => {
          assert.ok(error instanceof InvalidMessageError, `${String(value)} is not refused as invalid`)
          assert.deepEqual(
            error.issues.map(({ path }) => path),
            ['data.list.0.value'],
          )
          return true
        })
      }
      assert.equal(published.length, 0)
    },
  },
  {
    number: 104,
    title: 'A wall clock that is set back or forward by an hour changes no timeout, no drain and no close',
    async run(context) {
      for (const jumpMs of [-hourMs, hourMs]) {
        let offsetMs = 0
        let isSilent = false
        const clock = { ...systemClock, now: () => systemClock.now() + offsetMs }
        const adapter = wrapAdapter(context.harness.adapter, {
          publish: (batch, forward) => (isSilent ? new Promise(() => {}) : forward(batch)),
        })
        const stage = await context.stage({ connect: { clock, adapter } })
        const recorder = context.recorder()
        const hanging = context.pace(300)
        await stage.consume(recorder, {}, () => wait(hanging))
        const sent = await stage.sendOne()
        await context.eventually('the handler runs', () => recorder.of(sent).length > 0)
        offsetMs = jumpMs
        await context.exactly(recorder, [sent])

        isSilent = true
        const timeoutMs = context.pace(500)
        const startedAt = performance.now()
        const sending = stage.producer.send(stage.message, { n: 2 }, { timeout: timeoutMs })
        sending.catch(() => {})
        const closing = stage.producer.send(stage.message, { n: 3 }, { timeout: '1h' })
        closing.catch(() => {})
        await wait(context.pace(50))
        offsetMs = -jumpMs
        await context.within(
          'the send times out',
          assert.rejects(sending, (error) => MessagingError.is(error) && error.code === 'timeout'),
        )
        const tookMs = performance.now() - startedAt
        assert.ok(tookMs >= timeoutMs - clockToleranceMs, `timed out after ${tookMs} ms`)
        assert.ok(tookMs <= timeoutMs + context.slackMs, `timed out only after ${tookMs} ms`)

        const closed = stage.bus.close({ timeout: timeoutMs })
        await wait(context.pace(50))
        offsetMs = 2 * jumpMs
        await context.within('the bus closes', closed)
        await assert.rejects(closing, (error) => MessagingError.is(error) && error.code === 'closed')
      }
    },
  },
]
