import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

export const stress: readonly Case[] = [
  {
    number: 91,
    title: '10,000 messages of 20 producers reach 50 consumers: none is missing, none is delivered twice',
    alone: true,
    timeoutMs: 240_000,
    async run(context) {
      const stage = await context.stage({ topic: { partitions: 50, groups: [context.unique('group')] } })
      const recorder = context.recorder()
      // What was sent again because its first answer did not come in time may be there twice.
      let doubtful = 0
      const doubt = (error: unknown) => (MessagingError.is(error) && error.fate === 'unknown' ? 1 : 0)
      const adapter = wrapAdapter(context.harness.adapter, {
        async publish(batch, forward) {
          try {
            const outcomes = await forward(batch)
            for (const outcome of outcomes) if (!outcome.ok) doubtful += doubt(outcome.error)
            return outcomes
          } catch (error) {
            doubtful += batch.length * doubt(error)
            throw error
          }
        },
      })
      const buses = await Promise.all(Array.from({ length: 5 }, () => context.bus({ adapter })))
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => {
          const bus = buses[index % buses.length] ?? stage.bus
          return stage.consume(recorder, { bus, member: `consumer ${index}` })
        }),
      )
      const each = context.load(10_000) / 20
      const sent = await Promise.all(
        Array.from({ length: 20 }, async (_, index) => {
          const producer = (buses[index % buses.length] ?? stage.bus).producer({
            source: `producer-${index}`,
            timeout: 2 * context.sendTimeoutMs,
          })
          return Promise.all(Array.from({ length: each }, (__, n) => producer.send(stage.message, { n })))
        }),
      )
      await context.exactly(recorder, sent.flat(), { duplicateBudget: doubtful })
    },
  },
  {
    number: 92,
    part: 'a',
    title: 'A process that connects and closes 100 times has the handles it had before, and exits by itself',
    timeoutMs: 240_000,
    async run(context) {
      const child = context.child('cycles-program', {
        topic: context.unique('topic'),
        group: context.unique('group'),
        cycles: context.load(100),
      })
      await context.eventually(
        'the process has done its cycles',
        () => child.of('resources').length === 1 || !child.running,
        context.pace(180_000),
      )
      const [resources] = child.of('resources')
      assert.ok(resources, `no report: ${child.errorOutput}`)
      assert.deepEqual([...resources.after].sort(), [...resources.before].sort())
      assert.equal(await context.within('the process exits', child.exited()), 0, child.errorOutput)
    },
  },
  {
    number: 92,
    part: 'b',
    title: 'After connecting and closing 20 times the broker has the connections it had before',
    needs: ['connectionCount'],
    alone: true,
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      // Some connections are made at their first use, and stay.
      await stage.sendOne()
      const before = await context.connectionCount()
      for (let round = 0; round < 20; round += 1) {
        const recorder = context.recorder()
        const bus = await context.bus()
        await stage.consume(recorder, { bus })
        const sent = await stage.sendOne()
        await context.eventually('it is delivered', () => recorder.of(sent).length === 1)
        await bus.close()
      }
      await context.eventually(
        'the broker has no more connections than before',
        async () => (await context.connectionCount()) <= before,
        context.pace(30_000),
      )
    },
  },
]
