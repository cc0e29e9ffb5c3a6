import assert from 'node:assert/strict'
import { defineMessage, type MessageOf } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import { numberOf } from '../fixtures/numbered.ts'

export const streams: readonly Case[] = [
  {
    number: 245,
    title: 'A handler of several definitions gets each of them, told apart by its type',
    async run(context) {
      const stage = await context.stage()
      const Named = defineMessage(stage.topic, 'name.sent', { schema: z.object({ name: z.string() }) })
      const seen: string[] = []
      const take = (message: MessageOf<typeof stage.message | typeof Named>) => {
        if (message.type === 'name.sent' && 'name' in message.data) seen.push(message.data.name)
        else seen.push(String(numberOf(message)))
      }
      await stage.bus.consumer(stage.group).on([stage.message, Named], take).start()
      await stage.sendOne()
      await stage.producer.send(Named, { name: 'Ada' })
      await context.eventually('both are handled', () => seen.length === 2)
      await context.quiet()
      assert.deepEqual(seen.toSorted(), ['1', 'Ada'])
    },
  },
  {
    number: 246,
    part: 'a',
    title: 'bus.on brings each stream every message sent from its ready on, and takes none from groups',
    requires: ['broadcast'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const early = await stage.send(3)
      const other = await context.bus()
      const streams = [stage.bus.on(stage.message), stage.bus.on(stage.message), other.on(stage.message)]
      await Promise.all(streams.map((stream) => context.within('the stream is ready', stream.ready)))
      const sent = await stage.send(context.load(30))
      for (const stream of streams) {
        const ids = new Set<string>()
        const all = async () => {
          for await (const { id } of stream) if (ids.add(id).size === sent.length) break
        }
        await context.within('all have come', all())
        assert.deepEqual(ids, new Set(sent.map(({ id }) => id)))
      }
      await context.exactly(recorder, [...early, ...sent])
    },
  },
  {
    number: 246,
    part: 'b',
    title: 'A stream that is left leaves nothing behind',
    requires: ['broadcast'],
    async run(context) {
      const stage = await context.stage()
      const bus = await context.bus()
      const stream = bus.on(stage.message)
      await context.within('the stream is ready', stream.ready)
      const next = stream.next()
      const sent = await stage.sendOne()
      const { value } = await context.within('it comes', next)
      assert.equal(value?.id, sent.id)
      const waiting = stream.next()
      await context.within('the stream ends', stream.return())
      assert.deepEqual(await context.within('the wait ends', waiting), { done: true, value: undefined })
      assert.deepEqual((await bus.health()).consumers, [], 'no consumer is left')
    },
  },
]
