import assert from 'node:assert/strict'
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
    timeoutMs: 240_000,
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true } })
      const data = Array.from({ length: 100 }, (_, n) => keys.map((key) => ({ n, key }))).flat()
      const sent = await stage.producer.sendBatch(stage.message, data)
      const delivered: string[] = []
      const start = async () => {
        const child = context.child('consumer-program', {
          topic: stage.topic,
          group: stage.group,
          options: { concurrency: keys.length, maxDeliveries: 1000 },
          behaviour: { kind: 'wait', durationMs: 150 },
        })
        child.onReport((report) => {
          if (report.type === 'delivered') delivered.push(report.id)
        })
        await context.eventually('it is ready', () => child.of('ready').length === 1, context.pace(30_000))
        return child
      }
      const isDone = () => new Set(delivered).size === sent.length
      let [victim, survivor] = [await start(), await start()]
      let killsAmidst = 0
      for (let kill = 0; kill < 3; kill += 1) {
        const next = await start()
        const until = delivered.length + 30
        await context.eventually('some more are handled', () => delivered.length >= until || isDone())
        if (!isDone()) killsAmidst += 1
        await victim.kill()
        ;[victim, survivor] = [survivor, next]
      }
      assert.ok(killsAmidst > 0, 'there was no backlog at any of the kills')
      await context.eventually('all are handled', isDone, context.pace(60_000), () => delivered.length)
      for (const key of keys) {
        const ofKey = sent.filter((message) => message.key === key).map(({ id }) => id)
        const first = [...new Set(delivered.filter((id) => ofKey.includes(id)))]
        assert.deepEqual(
          first.map((id) => ofKey.indexOf(id)),
          ofKey.map((_, index) => index),
          `the order of ${key}`,
        )
      }
    },
  },
]
