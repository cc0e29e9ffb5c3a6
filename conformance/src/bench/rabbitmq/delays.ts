import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import { refusal } from '../../case/refusal.ts'
import { numbered } from '../../fixtures/numbered.ts'
import type { Administration } from './administration.ts'

/** At-least-once dead-lettering holds as many messages that it cannot route, and then no more of any kind. */
const heldByTheBroker = 32

export function delays(administration: Administration): readonly Case[] {
  return [
    {
      number: 140,
      title: 'Delayed sends that nobody wants hold up none that somebody does; each type is told once',
      needs: ['restart'],
      async run(context) {
        for (const ordered of [false, true]) {
          const topic = context.topic({
            ordered,
            partitions: 2,
            groups: [{ name: 'billing', types: ['order.*'] }],
          })
          const bus = await context.bus({ topics: [topic] })
          const warnings: string[] = []
          bus.on('warning', ({ message }) => warnings.push(message))
          const unwanted = numbered(topic, 'invoice.paid')
          const wanted = numbered(topic, 'order.created')
          const recorder = context.recorder()
          await bus.consumer('billing').on(wanted, recorder.handler()).start()
          const send = (message: typeof wanted, n: number) =>
            bus.producer().send(message, { n }, { delay: 500, key: `key-${n}` })
          const numbers = Array.from({ length: 3 * heldByTheBroker }, (_, n) => n)
          await Promise.all(numbers.map((n) => send(unwanted, n)))
          const sent = await Promise.all(numbers.map((n) => send(wanted, n)))
          await context.exactly(recorder, sent)
          assert.equal(warnings.length, 1, warnings.join('; '))
          assert.match(
            warnings.join(),
            new RegExp(`invoice\\.paid on topic ${topic.name}.* reaches no group`),
          )
          await context.eventually('nothing is left in a delay queue', async () => {
            const rows = await administration.list('list_queues', 'name', 'messages')
            return rows.every(([name, messages]) => !name?.startsWith(`${topic.name}:`) || messages === '0')
          })
        }
      },
    },
    {
      number: 141,
      title:
        'A delayed send of a type that another process wants is not told, and is refused only if nobody does',
      async run(context) {
        const topic = context.topic({ groups: [{ name: 'billing', types: ['order.*'] }] })
        await context.bus({ topics: [topic] })
        // Knows no group.
        const native = { rabbitmq: { unroutable: 'reject' } } as const
        const sender = await context.bus({ native, topics: [{ ...topic, groups: [] }] })
        const bare = { ...topic, groups: [] }
        const delay = { delay: 50 }
        await sender.producer().send(numbered(bare, 'order.created'), { n: 1 }, delay)
        const unwanted = sender.producer().send(numbered(bare, 'invoice.paid'), { n: 2 }, delay)
        const error = await refusal('the send', unwanted, 'rejected')
        assert.equal(error.fate, 'not-sent')
      },
    },
  ]
}
