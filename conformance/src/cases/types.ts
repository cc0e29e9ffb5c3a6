import assert from 'node:assert/strict'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { numbered } from '../fixtures/numbered.ts'

/** For each pattern which of the types it takes; the others it must not. */
type Expectations = Readonly<Record<string, readonly string[]>>

/** Gives each pattern two groups, one that declares the pattern and one that only listens to it. */
async function deliversByPattern(
  context: CaseContext,
  types: readonly string[],
  expectations: Expectations,
): Promise<void> {
  const listeners = Object.entries(expectations).flatMap(([pattern, taken]) =>
    [[pattern], ['#']].map((declared) => ({
      pattern,
      taken,
      group: { name: context.unique('group'), types: declared },
      recorder: context.recorder(),
    })),
  )
  const topic = context.topic({ groups: listeners.map(({ group }) => group) })
  const bus = await context.bus({ topics: [topic] })
  for (const { pattern, group, recorder } of listeners) {
    await bus.consumer(group.name).on(topic, pattern, recorder.handler()).start()
  }
  const producer = bus.producer()
  const sent = await Promise.all(types.map((type, n) => producer.send(numbered(topic, type), { n })))
  await Promise.all(
    listeners.map(async ({ pattern, taken, recorder }) => {
      const expected = sent.filter(({ type }) => taken.includes(type))
      assert.equal(
        expected.length,
        taken.length,
        `the case expects types for ${pattern} that it does not send`,
      )
      await context.exactly(recorder, expected)
    }),
  )
}

export const types: readonly Case[] = [
  {
    number: 19,
    title: '"*" stands for exactly one segment of a message type',
    needs: ['severalGroups'],
    async run(context) {
      await deliversByPattern(
        context,
        ['order', 'order.created', 'order.created.eu', 'stock.created', 'orders.paid'],
        {
          'order.*': ['order.created'],
          '*.created': ['order.created', 'stock.created'],
          'order.*.eu': ['order.created.eu'],
        },
      )
    },
  },
  {
    number: 20,
    title: '"#" stands for no segment or more of a message type',
    needs: ['severalGroups'],
    async run(context) {
      await deliversByPattern(
        context,
        ['order', 'order.created', 'order.created.eu', 'orders.created', 'eu'],
        {
          '#': ['order', 'order.created', 'order.created.eu', 'orders.created', 'eu'],
          'order.#': ['order', 'order.created', 'order.created.eu'],
          '#.eu': ['order.created.eu', 'eu'],
          'order.#.eu': ['order.created.eu'],
        },
      )
    },
  },
  {
    number: 21,
    title:
      'Of overlapping patterns in a group one handler gets the message: that of the exact type, else the first',
    async run(context) {
      const group = { name: context.unique('group'), types: ['order.created', 'order.*', '#'] }
      const topic = context.topic({ groups: [group] })
      const bus = await context.bus({ topics: [topic] })
      const recorder = context.recorder()
      await bus
        .consumer(group.name)
        .on(topic, 'order.*', recorder.handler('first'))
        .on(topic, '#', recorder.handler('second'))
        .on(numbered(topic, 'order.created'), recorder.handler('exact'))
        .start()
      const producer = bus.producer()
      const exact = await producer.send(numbered(topic, 'order.created'), { n: 1 })
      const first = await producer.send(numbered(topic, 'order.paid'), { n: 2 })
      const second = await producer.send(numbered(topic, 'stock.counted'), { n: 3 })
      await context.exactly(recorder, [exact, first, second])
      const expected = { exact, first, second }
      for (const [member, message] of Object.entries(expected)) {
        assert.deepEqual(
          recorder.byMember(member).map(({ id }) => id),
          [message.id],
          `the ${member} handler`,
        )
      }
    },
  },
  {
    number: 22,
    title: 'Characters that mean something elsewhere are literal in patterns',
    needs: ['severalGroups'],
    async run(context) {
      const literal = ['order.created', 'ab*.c', 'a#.b', '[ab].c', 'a+.b', '(a|b).c', 'x.y?', '^a.b$']
      const lookalikes = ['orderxcreated', 'abx.c', 'ax.b', 'a.b.b', 'a.c', 'aa.b', 'b.c', 'x.y', 'x', 'a.b']
      await deliversByPattern(
        context,
        [...literal, ...lookalikes],
        Object.fromEntries(literal.map((type) => [type, [type]])),
      )
    },
  },
  {
    number: 23,
    title: 'A type that nobody in the group handles is acked and counted, and holds nothing up',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const unhandled: (string | undefined)[] = []
      stage.bus.on('unhandled', ({ message }) => unhandled.push(message?.id))
      await stage.consume(recorder, { concurrency: 1, prefetch: 1 })
      const stranger = numbered(stage.topic, 'stranger.sent')
      const strangers = [
        await stage.producer.send(stranger, { n: 1 }),
        await stage.producer.send(stranger, { n: 2 }),
      ]
      await context.exactly(recorder, await stage.send(5))
      assert.deepEqual(unhandled.sort(), strangers.map(({ id }) => id).sort())
      assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.count(), 0)
    },
  },
]
