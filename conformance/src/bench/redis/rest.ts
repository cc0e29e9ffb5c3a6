import assert from 'node:assert/strict'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { base } from './keys.ts'
import { plainly } from './plain-client.ts'

/** What clients send by themselves, as `INFO commandstats` names it; what scripts call is not among these. */
const sentByClients = ['evalsha', 'ping', 'xread', 'xreadgroup', 'client|list', 'client|unblock', 'subscribe']

const countOf = (context: CaseContext) =>
  plainly(context.harness.connection.url, async (client) => {
    const stats = await client.info('commandstats')
    let count = 0
    for (const name of sentByClients) {
      const line = new RegExp(`^cmdstat_${name.replace('|', '\\|')}:calls=(\\d+)`, 'm').exec(stats)
      count += Number(line?.[1] ?? 0)
    }
    return count
  })

export const rest: readonly Case[] = [
  {
    number: 105,
    part: 'r',
    title:
      'An idle consumer makes one round trip a second at most, ordered or not, and loses no latency by it',
    alone: true,
    async run(context) {
      const url = context.harness.connection.url
      const bus = await context.bus({ native: { redis: { requestTimeout: '10s' } } })
      const stages = []
      for (const ordered of [false, true]) {
        const stage = await context.stage({ bus, topic: { ordered, groups: [context.unique('group')] } })
        const recorder = context.recorder()
        await stage.consume(recorder)
        stages.push({ stage, recorder })
      }
      const connections = await plainly(url, async (client) => {
        const list = String(await client.client('LIST'))
        return list.split('\n').filter((line) => line.includes('name=waybill-')).length
      })
      assert.equal(
        connections,
        2,
        'two consumers of a bus share one connection for commands and one to listen',
      )
      await context.quiet(3000)
      const before = await countOf(context)
      const seconds = 20
      await context.quiet(seconds * 1000)
      const rate = ((await countOf(context)) - before) / seconds / stages.length
      assert.ok(rate <= 1, `${rate} commands a second and consumer`)

      for (const { stage, recorder } of stages) {
        const latencies: number[] = []
        for (let n = 0; n < 20; n += 1) {
          const startedAt = performance.now()
          const sent = await stage.sendOne()
          await context.eventually('it is handled', () => recorder.ids.includes(sent.id))
          latencies.push(performance.now() - startedAt)
        }
        const median = latencies.sort((a, b) => a - b)[10] ?? Number.POSITIVE_INFINITY
        assert.ok(median < context.pace(250), `${median} ms, where looking alone would take 750`)
      }
    },
  },
  {
    number: 105,
    part: 's',
    title:
      'An idle consumer finds what a foreign producer added without a notification, within its poll interval',
    async run(context) {
      const stage = await context.stage({ connect: { native: { redis: { pollInterval: 1000 } } } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await stage.sendOne()
      await context.eventually('it is idle', () => recorder.ids.length === 1)
      await plainly(context.harness.connection.url, (client) =>
        client.xadd(
          ...([`${base(stage.topic)}:stream`, '*', 'content-type', 'application/json'] as const),
          ...(['ce-id', 'foreign-1', 'ce-source', 'elsewhere', 'ce-type', stage.message.type] as const),
          ...(['ce-specversion', '1.0', 'body', '{"n":1}'] as const),
        ),
      )
      await context.eventually('it is handled', () => recorder.ids.includes('foreign-1'), context.pace(3000))
    },
  },
]
