import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'

const keys = Array.from({ length: 8 }, (_, index) => `key-${index}`)

/** Members of an ordered group that die with much in hand, some of them while partitions change hands. */
export const killedMembers: readonly Case[] = [
  {
    number: 96,
    part: 'h',
    title: 'A key keeps its order when members are killed with much of a backlog in hand',
    requires: ['ordered'],
    needs: ['processes'],
    timeoutMs: 360_000,
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true } })
      const sent: Message[] = []
      /** More than two members can have in hand. */
      const sendBacklog = async () => {
        const data = Array.from({ length: 40 }, (_, n) => keys.map((key) => ({ n, key }))).flat()
        sent.push(...(await stage.producer.sendBatch(stage.message, data)))
      }
      const lease = 15_000
      // Members that were killed may have had all keys in hand.
      const takeoverMs = context.capabilities.redeliveryMs + (context.capabilities.lease ? lease : 0)
      const delivered: { readonly id: string; readonly at: number }[] = []
      const start = async () => {
        const child = context.child('consumer-program', {
          topic: stage.topic,
          group: stage.group,
          options: { concurrency: keys.length, maxDeliveries: 1000, lease },
          behaviour: { kind: 'wait', durationMs: 60 },
        })
        child.onReport((report) => {
          if (report.type === 'delivered') delivered.push(report)
        })
        await context.eventually('it is ready', () => child.of('ready').length === 1, context.pace(30_000))
        return child
      }
      let [victim, survivor] = [await start(), await start()]
      for (let kill = 0; kill < 3; kill += 1) {
        await sendBacklog()
        // It takes over from those that are busy.
        const next = await start()
        await sendBacklog()
        const until = delivered.length + 30
        await context.eventually(
          'some more are handled',
          () => delivered.length >= until,
          2 * takeoverMs + context.pace(30_000),
        )
        await victim.kill()
        ;[victim, survivor] = [survivor, next]
      }
      await context.eventually(
        'all are handled',
        () => new Set(delivered.map(({ id }) => id)).size === sent.length,
        2 * takeoverMs + context.pace(60_000),
        () => delivered.length,
      )
      const inTurn = delivered.toSorted((one, other) => one.at - other.at).map(({ id }) => id)
      for (const key of keys) {
        const ofKey = sent.filter((message) => message.key === key).map(({ id }) => id)
        const first = [...new Set(inTurn.filter((id) => ofKey.includes(id)))]
        assert.deepEqual(
          first.map((id) => ofKey.indexOf(id)),
          ofKey.map((_, index) => index),
          `the order of ${key}`,
        )
      }
    },
  },
]
