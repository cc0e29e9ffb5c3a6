import assert from 'node:assert/strict'
import type { Redis } from 'ioredis'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { driverOf, group, join, messageOf, some } from './bare-driver.ts'
import { base } from './keys.ts'
import { plainly } from './plain-client.ts'

/** What the adapter puts into one call of a script at most: bytes of bodies, and items. */
const maxBytes = 512 * 1024
const maxItems = 200

const plain = <Value>(context: CaseContext, use: (client: Redis) => Promise<Value>) =>
  plainly(context.harness.connection.url, use)

/** How often each command was called while something was done, inside scripts too. */
async function calls(
  context: CaseContext,
  act: () => Promise<unknown>,
): Promise<(command: string) => number> {
  const read = () =>
    plain(context, async (client) => {
      const lines = (await client.info('commandstats')).matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)
      return new Map([...lines].map(([, name = '', count]) => [name, Number(count)]))
    })
  const before = await read()
  await act()
  const after = await read()
  return (command) => (after.get(command) ?? 0) - (before.get(command) ?? 0)
}

export const bounds: readonly Case[] = [
  {
    number: 212,
    alone: true,
    part: 'a',
    title: 'Large messages that are due at once are moved one a call, small ones up to a bound',
    async run(context) {
      const topic = context.topic()
      const driver = await driverOf(context)
      await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const body = Buffer.alloc(1024 * 1024)
      for (let n = 0; n < 40; n += 1)
        await driver.publish([messageOf(topic, n, { delayMs: context.pace(100), body })])
      const small = [...Array(1000).keys()].map((n) =>
        messageOf(topic, 1000 + n, { delayMs: context.pace(100) }),
      )
      for (let first = 0; first < small.length; first += 100)
        await driver.publish(small.slice(first, first + 100))
      const isEmpty = () =>
        plain(context, async (client) => (await client.zcard(`${base(topic)}:delayed`)) === 0)
      const member = await join(driver, topic, { leaseMs: 30_000 })
      let received = 0
      const count = await calls(context, async () => {
        while (received < 1040) {
          const deliveries = await some(context, member, 1000)
          const bytes = deliveries.reduce((sum, delivery) => sum + delivery.body.byteLength, 0)
          assert.ok(bytes <= maxBytes + 8 * body.byteLength, `${bytes} bytes in one answer`)
          assert.ok(deliveries.length <= maxItems, `${deliveries.length} messages in one answer`)
          received += deliveries.length
          await member.settle(deliveries.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
        }
      })
      assert.ok(await isEmpty())
      // Each large one in a call of its own, to be moved and to be read; the small ones in calls of many.
      assert.ok(count('evalsha') >= 40 + 1000 / maxItems, `${count('evalsha')} calls`)
    },
  },
  {
    number: 212,
    alone: true,
    part: 'b',
    title: 'A member that stops with a thousand large messages in hand gives them back without moving a body',
    async run(context) {
      const topic = context.topic()
      const driver = await driverOf(context)
      await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const body = Buffer.alloc(64 * 1024)
      for (let n = 0; n < 1000; n += 1) await driver.publish([messageOf(topic, n, { body })])
      const member = await join(driver, topic, { leaseMs: 30_000 })
      for (let held = 0; held < 1000; ) held += (await some(context, member, 1000)).length
      const count = await calls(context, () => member.close())
      assert.equal(count('xadd'), 0, 'nothing is copied')
      assert.equal(count('xrange'), 0, 'nothing is read')
      assert.ok(count('evalsha') >= 1000 / maxItems, `${count('evalsha')} calls for 1000 entries`)
      const { waiting, inFlight } = await driver.stats(topic, group.name)
      assert.deepEqual([waiting, inFlight], [1000, 0])
      const successor = await join(driver, topic, { leaseMs: 30_000 })
      const [first] = await some(context, successor, 1)
      assert.equal(first?.crashes, 0)
    },
  },
  {
    number: 212,
    alone: true,
    part: 'c',
    title:
      'Remembered ids that are over are forgotten a few a call, and do not count as duplicates meanwhile',
    async run(context) {
      const native = { redis: { deduplication: 60_000 } }
      const stage = await context.stage({ topic: { groups: [context.unique('group')], native } })
      const recorder = context.recorder()
      await stage.sendOne()
      const key = `${base(stage.topic)}:sent`
      const old = context.load(20_000)
      const id = context.unique('message')
      await plain(context, async (client) => {
        for (let first = 0; first < old; first += 1000) {
          const members = Array.from({ length: 1000 }, (_, index) => [1, `old-${first + index}`]).flat()
          await client.zadd(key, ...members)
        }
      })
      const left = () => plain(context, (client) => client.zcard(key))
      const before = await left()
      const sent = await stage.sendOne({ id })
      await stage.consume(recorder)
      const count = await calls(context, async () => {
        await context.eventually('all are forgotten', async () => {
          await plain(context, (client) => client.del(`${base(stage.topic)}:group:${stage.group}:tidied`))
          return (await left()) < 10
        })
      })
      assert.ok(
        count('evalsha') >= (before - 2 * maxItems) / 300 / 2,
        `${count('evalsha')} calls for ${before}`,
      )
      assert.ok(recorder.ids.includes(sent.id))
    },
  },
  {
    number: 212,
    alone: true,
    part: 'd',
    title: 'What a topic with a small retention has too much goes in calls of a bounded number of entries',
    async run(context) {
      const native = { redis: { retention: { maxLength: 10 } } }
      const topic = context.topic({ native })
      const driver = await driverOf(context)
      await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
      const member = await join(driver, topic, { leaseMs: 30_000 })
      const total = 3000
      for (let first = 0; first < total; first += 100) {
        await driver.publish([...Array(100).keys()].map((n) => messageOf(topic, first + n)))
      }
      for (let handled = 0; handled < total; ) {
        const deliveries = await some(context, member, 1000)
        await member.settle(deliveries.map((delivery) => ({ delivery, verdict: { kind: 'ack' } })))
        handled += deliveries.length
      }
      const stream = `${base(topic)}:stream`
      const length = () => plain(context, (client) => client.xlen(stream))
      const lengthBefore = await length()
      const count = await calls(context, async () => {
        await plain(context, (client) => client.del(`${base(topic)}:group:${group.name}:tidied`))
        const signal = AbortSignal.timeout(context.pace(20_000))
        await context.eventually('it is short', async () => {
          await member.receive(1, AbortSignal.any([signal, AbortSignal.timeout(200)]))
          return (await length()) <= 10 + 100
        })
      })
      assert.ok((await length()) >= 10)
      const trimmed = lengthBefore - (await length())
      assert.ok(count('xtrim') >= trimmed / 300, `${count('xtrim')} calls for ${trimmed} entries`)
    },
  },
]
