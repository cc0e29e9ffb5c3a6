import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Bridge, type BridgeOptions, openBridge } from '@waybill/bridge'
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { Cargo } from './cargo.ts'
import { bridgeEnd, connectTo, type EndName, type Ends } from './ends.ts'

/** A bridge of this process. */
export async function bridgeBetween(
  context: CaseContext,
  ends: Ends,
  [from, to]: readonly [EndName, EndName],
  options: Omit<BridgeOptions, 'from' | 'to'>,
): Promise<Bridge> {
  const bridge = await openBridge({
    from: bridgeEnd(ends[from]),
    to: bridgeEnd(ends[to]),
    lease: '2s',
    ...options,
    on: { failure: () => {}, ...options.on },
  })
  context.defer(() => bridge.close({ timeout: '2s' }))
  return bridge
}

export function targetAway(ends: Ends, from: EndName, to: EndName): Case {
  return {
    number: 221,
    part: 'a',
    title: `While the target (${to}) is away messages wait in order, the bridge says why, and all arrive afterwards`,
    alone: true,
    timeoutMs: 180_000,
    async run(context) {
      if (!ends[to].broker.canRestart) context.skip('this broker is not ours to restart')
      const cargo = await Cargo.open(context, ends[from], ends[to])
      const bridge = await bridgeBetween(context, ends, [from, to], { topics: cargo.names })
      cargo.load()
      await context.eventually('some have arrived', () => cargo.arrived > 50)
      await ends[to].broker.kill()
      const troubled = async () => (await bridge.stats()).some(({ error }) => error !== undefined)
      await context.eventually('the bridge says so', troubled, 60_000)
      await ends[to].broker.start()
      await cargo.arrive()
      await context.eventually('it is well again', async () => !(await troubled()), 60_000)
      const stats = await bridge.stats()
      assert.deepEqual(
        stats.map(({ refused }) => refused),
        [0, 0],
      )
    },
  }
}

export function sourceAway(ends: Ends, from: EndName, to: EndName): Case {
  return {
    number: 221,
    part: 'b',
    title: `While the source (${from}) is away the bridge waits for it, and goes on`,
    alone: true,
    timeoutMs: 180_000,
    async run(context) {
      if (!ends[from].broker.canRestart) context.skip('this broker is not ours to restart')
      const cargo = await Cargo.open(context, ends[from], ends[to])
      const bridge = await bridgeBetween(context, ends, [from, to], { topics: cargo.names })
      await cargo.send(100)
      await context.eventually('some have arrived', () => cargo.arrived > 50)
      await ends[from].broker.kill()
      await sleep(2000)
      await ends[from].broker.start()
      await cargo.send(100)
      await cargo.arrive()
      await bridge.drained()
    },
  }
}

const schema = z.object({ n: z.number() })

/** Two bridges mirror a topic both ways: each side has everything once. */
export function ringCase(ends: Ends, one: EndName, other: EndName): Case {
  return {
    number: 222,
    title: `Of two bridges between ${one} and ${other} none sends back what the other brought`,
    timeoutMs: 120_000,
    async run(context) {
      const topic = defineTopic(context.unique('ring'), { groups: ['all'] })
      const Sent = defineMessage(topic, 'ring.sent', { schema })
      const sides = await Promise.all(
        [one, other].map(async (name) => {
          const bus = await connectTo(context, ends[name], { topics: [topic] })
          const got: number[] = []
          await bus
            .consumer('all')
            .on(Sent, ({ data }) => void got.push(data.n))
            .start()
          return { bus, got }
        }),
      )
      const out = await bridgeBetween(context, ends, [one, other], { topics: [topic.name] })
      const back = await bridgeBetween(context, ends, [other, one], { topics: [topic.name] })
      const count = 100
      await Promise.all(
        sides.map(({ bus }, side) =>
          bus.producer().sendBatch(
            Sent,
            Array.from({ length: count }, (_, n) => ({ n: side * count + n })),
          ),
        ),
      )
      const all = Array.from({ length: 2 * count }, (_, n) => n)
      for (const { got } of sides) {
        await context.eventually('a side has all', () => new Set(got).size === 2 * count, 60_000)
      }
      for (const bridge of [out, back]) {
        const [stats] = await bridge.drained()
        assert.deepEqual([stats?.moved, stats?.looped, stats?.refused], [count, count, 0])
      }
      for (const { got } of sides)
        assert.deepEqual(
          got.toSorted((a, b) => a - b),
          all,
        )
    },
  }
}

/** A message that the target cannot hold. */
export function refusalCase(ends: Ends, from: EndName, to: EndName): Case {
  return {
    number: 223,
    title: `What ${to} refuses for good is in the dead letters of the bridge’s group at ${from}, with the reason`,
    timeoutMs: 120_000,
    async run(context) {
      const topic = defineTopic(context.unique('heavy'), { groups: ['all'] })
      const Sent = defineMessage(topic, 'heavy.sent', { schema: z.object({ text: z.string() }) })
      const source = await connectTo(context, ends[from], { topics: [topic] })
      const target = await connectTo(context, ends[to], { topics: [topic] })
      const got: string[] = []
      await target
        .consumer('all')
        .on(Sent, ({ id }) => void got.push(id))
        .start()
      const refused: (string | undefined)[] = []
      const bridge = await bridgeBetween(context, ends, [from, to], {
        topics: [topic.name],
        on: { refused: ({ message }) => refused.push(message?.id) },
      })
      const heavy = await source
        .producer()
        .send(Sent, { text: 'x'.repeat(target.capabilities.maxMessageBytes) })
      const light = await source.producer().send(Sent, { text: 'x' })
      await context.eventually('one passes, one does not', () => got.length === 1 && refused.length === 1)
      assert.deepEqual([got, refused], [[light.id], [heavy.id]])
      const { deadLetters } = source.group(topic, 'bridge', { allowUndeclaredGroup: true })
      const letters = []
      for await (const letter of deadLetters.list()) letters.push(letter)
      assert.deepEqual(
        letters.map(({ message }) => message?.id),
        [heavy.id],
      )
      assert.match(letters[0]?.error?.message ?? '', /target refused it \(too-large\)/)
      const [stats] = await bridge.drained()
      assert.deepEqual([stats?.moved, stats?.refused], [1, 1])
    },
  }
}
