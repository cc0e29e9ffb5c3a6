import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { numbered } from '../../fixtures/numbered.ts'

/** How retries go round the members of a group. */
export const rotationCases: readonly Case[] = [
  {
    number: 229,
    title:
      'Of two members with types of their own, what one leaves to others reaches the other the first time',
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const other = await context.bus()
      const recorder = context.recorder()
      const left = new Map<string, number>()
      for (const bus of [stage.bus, other]) {
        bus.on('deferred', ({ message }) => {
          if (message !== undefined) left.set(message.id, (left.get(message.id) ?? 0) + 1)
        })
      }
      const types = ['order.placed', 'order.shipped'].map((type) => numbered(stage.topic, type))
      for (const [index, type] of types.entries()) {
        const bus = index === 0 ? stage.bus : other
        await bus.consumer(stage.group).on(type, recorder.handler(type.type)).start()
      }
      const sent = await Promise.all(
        Array.from({ length: 60 }, (_, n) => types.map((type) => stage.producer.send(type, { n }))).flat(),
      )
      await context.exactly(recorder, sent)
      assert.ok(left.size > 0, 'no message met the wrong member')
      assert.equal(
        Math.max(...left.values()),
        1,
        'a message came back to a member that had left it to others',
      )
    },
  },
]
