import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Capabilities, Topology, Verdict } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { Latch } from '../case/latch.ts'
import { refusal } from '../case/refusal.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** A bus whose driver lacks something that this broker's has, and what it was asked to do nevertheless. */
async function lacking(context: CaseContext, lacks: Partial<Capabilities>) {
  const verdicts: Verdict['kind'][] = []
  const topologies: Topology[] = []
  const adapter = wrapAdapter(context.harness.adapter, {
    capabilities: (own) => ({ ...own, ...lacks }),
    apply(topology, mode, forward) {
      topologies.push(topology)
      return forward(topology, mode)
    },
    settle(settlements, forward) {
      for (const { verdict } of settlements) verdicts.push(verdict.kind)
      return forward(settlements)
    },
  })
  const stage = await context.stage()
  return { stage, bus: await context.bus({ adapter }), verdicts, topologies }
}

/** What core does for drivers of brokers that can do less. They are tried on drivers that can, and say that they cannot. */
export const lackingFeatures: readonly Case[] = [
  {
    number: 109,
    part: 'a',
    title: 'Without durable retries a failed attempt waits in the process of its consumer, and others go on',
    async run(context) {
      const { stage, bus, verdicts } = await lacking(context, { durableRetry: false })
      const recorder = context.recorder()
      const [bad, good] = await stage.sendBatch(2)
      assert.ok(bad !== undefined && good !== undefined)
      const retry = { attempts: 3, backoff: fixed(context.pace(300)) }
      await stage.consume(recorder, { bus, retry }, ({ id }, { attempt }) => {
        if (id === bad.id && attempt < 3) throw new Error('not yet')
      })
      await context.exactly(recorder, [bad, good, bad, bad])
      assert.deepEqual(
        recorder.of(bad).map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      assert.deepEqual(verdicts, ['ack', 'ack'])
    },
  },
  {
    number: 109,
    part: 'b',
    title: 'Without release, what a consumer gives back reaches its group when the subscription ends',
    async run(context) {
      const { stage, bus, verdicts } = await lacking(context, { release: false })
      const [first, second] = [context.recorder(), context.recorder()]
      const gate = new Latch()
      context.defer(() => gate.open())
      const options = { bus, concurrency: 1, prefetch: 5 }
      const consumer = await stage.consume(first, options, () => gate.passed())
      const sent = await stage.send(5)
      await context.eventually('it has more in hand than it handles', () => {
        return first.inFlight === 1 && (consumer.health()[0]?.inFlight ?? 0) > 1
      })
      const stopped = consumer.stop()
      gate.open()
      await context.within('it stops', stopped)
      await stage.consume(second)
      const [handled] = first.ids
      await context.exactly(
        second,
        sent.filter(({ id }) => id !== handled),
      )
      assert.equal(first.ids.length, 1)
      assert.ok(!verdicts.includes('release'), 'the driver was asked to release')
    },
  },
  {
    number: 109,
    part: 'c',
    title: 'Without dead letters, consumers that need them and a look at them are refused by name',
    async run(context) {
      const { stage, bus } = await lacking(context, { deadLetters: false })
      const start = async () => stage.consume(context.recorder(), { bus })
      const letters = bus.group(stage.topic, stage.group).deadLetters
      for (const { message } of [
        await refusal('the consumer', start(), 'unsupported'),
        await refusal('the dead letters', letters.count(), 'unsupported'),
      ]) {
        assert.match(message, /"deadLetters"/)
      }
    },
  },
  {
    number: 109,
    part: 'd',
    title: 'Without stats, they are refused by name',
    async run(context) {
      const { stage, bus } = await lacking(context, { stats: false })
      const stats = bus.group(stage.topic, stage.group).stats()
      assert.match((await refusal('stats', stats, 'unsupported')).message, /"stats"/)
    },
  },
  {
    number: 109,
    part: 'e',
    title:
      'Where filters cannot be added to, a group keeps all types from the start, and its wishes are known',
    async run(context) {
      const { stage, bus, topologies } = await lacking(context, { changesFilters: false })
      const recorder = context.recorder()
      await stage.consume(recorder, { bus })
      await context.exactly(recorder, [await stage.sendOne()])
      const groups = topologies.flatMap(({ topics }) => topics.flatMap((each) => each.groups))
      const own = groups.filter(({ name }) => name === stage.group)
      assert.ok(own.length > 0 && own.every(({ types }) => types.join() === '#'))
      assert.ok(own.some(({ wishes }) => wishes.includes(stage.message.type)))
    },
  },
  {
    number: 109,
    part: 'f',
    title:
      'More in hand than the driver can hold is refused when the consumer is made; what is not asked for keeps within it',
    async run(context) {
      const { stage, bus } = await lacking(context, { maxPrefetch: 3 })
      const recorder = context.recorder()
      assert.throws(() => bus.consumer(stage.group, { prefetch: 4 }), /prefetch: expected at most 3/)
      await stage.consume(recorder, { bus })
      await context.exactly(recorder, await stage.send(10))
    },
  },
  {
    number: 109,
    part: 'g',
    title:
      'A longer lease than the driver has is refused when the consumer is made; the default keeps within it',
    async run(context) {
      const { stage, bus } = await lacking(context, { maxLeaseMs: 5000 })
      const recorder = context.recorder()
      assert.throws(() => bus.consumer(stage.group, { lease: '6s' }), /lease: expected at most 5000 ms/)
      await stage.consume(recorder, { bus })
      await context.exactly(recorder, await stage.send(3))
    },
  },
]
