import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { clockToleranceMs } from '../../case/case-context.ts'

export const fifo: readonly Case[] = [
  {
    number: 411,
    title: 'A delayed message of an ordered topic is not early, and holds back its own key and no other',
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const delayMs = context.pace(1500)
      const sentAt = performance.now()
      const delayed = await stage.sendOne({ delay: delayMs, key: 'held' })
      const behind = await stage.sendOne({ key: 'held' })
      const free = await stage.sendOne({ key: 'free' })
      await context.exactly(recorder, [delayed, behind, free])
      assert.deepEqual(recorder.ids, [free.id, delayed.id, behind.id])
      const afterMs = (recorder.of(delayed)[0]?.startedAt ?? 0) - sentAt
      assert.ok(afterMs >= delayMs - clockToleranceMs, `after ${afterMs} ms, earlier than ${delayMs} ms`)
    },
  },
  {
    number: 413,
    title: 'A delayed message holds its key also where what follows it comes in the same receive',
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const delayed = await stage.sendOne({ delay: context.pace(1500), key: 'held' })
      const behind = [await stage.sendOne({ key: 'held' }), await stage.sendOne({ key: 'held' })]
      const free = await stage.sendOne({ key: 'free' })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [delayed, ...behind, free])
      const ofKey = recorder.ids.filter((id) => id !== free.id)
      assert.deepEqual(
        ofKey,
        [delayed, ...behind].map(({ id }) => id),
      )
    },
  },
  {
    number: 412,
    title: 'An ordered topic takes an event of one source and id once, and one of another source beside it',
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const id = crypto.randomUUID()
      const first = await stage.sendOne({ id, key: 'same' })
      await stage.sendOne({ id, key: 'same' })
      const other = stage.bus.producer({ source: 'other' })
      await other.send(stage.message, { n: 1 }, { id, key: 'same' })
      await context.exactly(recorder, [first, first])
      assert.deepEqual(
        recorder.deliveries.map(({ message }) => message.metadata.source),
        ['waybill', 'other'],
      )
    },
  },
]
