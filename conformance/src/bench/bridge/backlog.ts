import assert from 'node:assert/strict'
import { defineMessage, defineTopic } from '@waybill/core'
import { z } from 'zod'
import type { Case } from '../../case/case.ts'
import { bridgeBetween } from './cases.ts'
import { connectTo, type EndName, type Ends } from './ends.ts'

const count = 40

/** What waits for a group of the application is moved; what is not due stays until it is. */
export function backlogCase(ends: Ends, from: EndName, to: EndName, part: string): Case {
  return {
    number: 224,
    part,
    title: `The backlog of a group at ${from} is moved to ${to} when a bridge takes its place, and the group stays as it was`,
    timeoutMs: 120_000,
    async run(context) {
      const topic = defineTopic(context.unique('backlog'), {
        ordered: true,
        partitions: 2,
        groups: ['billing', { name: 'audit', types: ['backlog.sent'] }],
      })
      const schema = z.object({ n: z.number() })
      const Sent = defineMessage(topic, 'backlog.sent', { schema, key: ({ n }) => `k${n % 4}` })
      const source = await connectTo(context, ends[from], { topics: [topic] })
      const wanted = Array.from({ length: count }, (_, n) => n)
      await source.producer().sendBatch(
        Sent,
        wanted.map((n) => ({ n })),
      )
      const bridge = await bridgeBetween(context, ends, [from, to], {
        topics: [topic.name],
        asGroup: 'billing',
        partitions: topic.partitions,
      })
      const target = await connectTo(context, ends[to])
      const got: number[] = []
      await target
        .consumer('billing')
        .on(Sent, ({ data }) => void got.push(data.n))
        .start()
      await context.eventually('all have arrived', () => new Set(got).size === count, 60_000)
      const [stats] = await bridge.drained()
      assert.deepEqual([stats?.group, stats?.moved, stats?.refused, stats?.waiting], ['billing', count, 0, 0])
      for (const key of [0, 1, 2, 3]) {
        const numbers = got.filter((n) => n % 4 === key)
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        )
      }
      assert.deepEqual((await source.administration.listGroups(topic)).toSorted(), ['audit', 'billing'])
      const waitingForAudit = async () => (await source.group(topic, 'audit').stats()).waiting
      await context.eventually(
        'the other group still has all',
        async () => (await waitingForAudit()) === count,
      )
    },
  }
}
