import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { refusal } from '../../case/refusal.ts'
import { numbered, numberOf } from '../../fixtures/numbered.ts'
import type { Administration } from './administration.ts'

export function topology(administration: Administration): readonly Case[] {
  return [
    {
      number: 111,
      title: 'An exchange, queue or partition count that differs is a mismatch that names both sides',
      async run(context) {
        const quorum = context.topic({ groups: ['billing'] })
        const fanned = context.topic()
        const ordered = context.topic({ ordered: true, partitions: 3, groups: ['billing'] })
        await administration.plainly(async (channel) => {
          await channel.assertQueue(`${quorum.name}:billing`, { arguments: { 'x-queue-type': 'classic' } })
          await channel.assertExchange(fanned.name, 'direct')
        })
        await context.bus({ topics: [ordered] })
        for (const { topic, sides } of [
          { topic: quorum, sides: [`${quorum.name}:billing`, 'quorum', 'classic'] },
          { topic: fanned, sides: [fanned.name, 'fanout', 'direct'] },
          { topic: { ...ordered, partitions: 2 }, sides: [`${ordered.name}:billing:2`, '2 partitions'] },
          { topic: { ...ordered, partitions: 5 }, sides: [`${ordered.name}:billing:3`, '5 partitions'] },
        ]) {
          const attempt = context.within('it is refused', context.bus({ topics: [topic] }))
          const error = await refusal('connect', attempt, 'topology-mismatch')
          assert.ok(!error.retryable, 'retryable')
          for (const side of sides) {
            assert.ok(error.message.includes(side), `"${error.message}" does not name ${side}`)
          }
        }
      },
    },
    {
      number: 112,
      title: 'With provision: verify each missing exchange and queue is named, and nothing is made',
      needs: ['restart'],
      async run(context) {
        const topic = context.topic({ groups: ['billing'] })
        const { name } = topic
        const verify = (rabbitmq: object) =>
          refusal(
            'connect',
            context.bus({ provision: 'verify', topics: [topic], native: { rabbitmq } }),
            'topology-missing',
          )
        const { message } = await verify({})
        assert.ok(
          message.includes(
            `: exchange ${name}, exchange ${name}:types, exchange ${name}:patterns, queue ${name}:billing:dead, queue ${name}:billing. `,
          ),
          message,
        )
        const withDelays = await verify({ delayQueues: 'all', longestDelay: '100ms' })
        for (const each of [`exchange ${name}:delay:32ms`, `queue ${name}:billing:delay:63ms`]) {
          assert.ok(withDelays.message.includes(each), `"${withDelays.message}" does not name ${each}`)
        }
        assert.deepEqual(await administration.queuesBeginningWith(name), [])
      },
    },
    {
      number: 113,
      title: 'With provision: verify existing exchanges and queues of any name and type are used as they are',
      needs: ['restart'],
      async run(context) {
        const [exchange, queue, dead] = ['events', 'bills', 'failed'].map((label) => context.unique(label))
        assert.ok(exchange && queue && dead)
        await administration.plainly(async (channel) => {
          await channel.assertExchange(exchange, 'topic')
          await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'classic' } })
          const keptForEver = { 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }
          await channel.assertQueue(dead, { arguments: keptForEver })
          await channel.bindQueue(queue, exchange, 'number.*')
        })
        const rabbitmq = { exchange, groups: { billing: { queue, deadLetterQueue: dead } } }
        const stage = await context.stage({
          topic: { groups: ['billing'], native: { rabbitmq } },
          bus: await context.bus({ provision: 'verify' }),
        })
        const recorder = context.recorder()
        let isBroken = true
        const retry = { attempts: 2, backoff: fixed(100) }
        await stage.consume(recorder, { retry }, (message, { attempt }) => {
          if (isBroken && numberOf(message) === 1) throw new Error('the first message is never handled')
          if (numberOf(message) === 2 && attempt === 1) throw new Error('the second fails once')
        })
        const [failing, failingOnce, fine] = await stage.send(3)
        assert.ok(failing && failingOnce && fine)
        const delivered = [failing, failing, failingOnce, failingOnce, fine]
        await context.exactly(recorder, delivered)
        const letters = stage.bus.group(stage.topic, stage.group).deadLetters
        await context.eventually('it is with the dead letters', async () => (await letters.count()) === 1)
        const inQueue = await administration.plainly((channel) => channel.checkQueue(dead))
        assert.equal(inQueue.messageCount, 1, 'it is in another queue')
        isBroken = false
        assert.equal(await letters.replayAll(), 1)
        await context.exactly(recorder, [...delivered, failing])
        // What waits for a retry waits in queues beside the existing one.
        assert.deepEqual(await administration.queuesBeginningWith(stage.topic.name), [])
        const made = (await administration.queuesBeginningWith(queue)).filter((name) => name !== queue)
        assert.ok(made.length > 0 && made.every((name) => name.startsWith(`${queue}:delay:`)), made.join(' '))
      },
    },
    {
      number: 114,
      title: 'A queue gets the types it is bound for, each message once, whatever exchange sorts them out',
      async run(context) {
        const types = ['order.paid', 'order.sent', 'refund']
        const wanted: Readonly<Record<string, readonly string[]>> = {
          everything: ['#'],
          paid: ['order.paid'],
          orders: ['order.*'],
          overlapping: ['order.paid', 'order.*', 'refund'],
        }
        const groups = Object.entries(wanted).map(([name, patterns]) => ({ name, types: patterns }))
        const topic = context.topic({ groups })
        const producer = (await context.bus({ topics: [topic] })).producer()
        const foreign = `${topic.name}:foreign`
        await administration.plainly(async (channel) => {
          await channel.assertQueue(foreign, { durable: true })
          await channel.bindQueue(foreign, `${topic.name}:types`, 'refund')
        })
        for (const [index, type] of types.entries()) await producer.send(numbered(topic, type), { n: index })
        const arrived = async (queue: string) =>
          (await administration.takeAll(queue)).map(({ properties }): unknown => properties.type)
        assert.deepEqual(await arrived(`${topic.name}:everything`), types)
        assert.deepEqual(await arrived(`${topic.name}:paid`), ['order.paid'])
        assert.deepEqual(await arrived(`${topic.name}:orders`), ['order.paid', 'order.sent'])
        assert.deepEqual(await arrived(`${topic.name}:overlapping`), types)
        assert.deepEqual(await arrived(foreign), ['refund'])
      },
    },
  ]
}
