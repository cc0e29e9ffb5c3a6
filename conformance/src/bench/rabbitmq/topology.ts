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
          { topic: { ...ordered, partitions: 2 }, sides: [ordered.name, '2 partitions', 'one with 3'] },
          { topic: { ...ordered, partitions: 5 }, sides: [ordered.name, '5 partitions', 'one with 3'] },
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
        for (const each of [name, `${name}:types`, `${name}:patterns`]) {
          assert.ok(message.includes(`exchange ${each}`), `"${message}" does not name exchange ${each}`)
        }
        for (const each of [`${name}:billing`, `${name}:billing:dead`]) {
          assert.ok(message.includes(`queue ${each}`), `"${message}" does not name queue ${each}`)
        }
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
        assert.deepEqual(await administration.queuesBeginningWith(`${stage.topic.name}:${stage.group}`), [])
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
    {
      number: 115,
      title: 'Whichever queues of an ordered topic are missing, create makes them, and what was there stays',
      needs: ['restart'],
      async run(context) {
        const partitions = 3
        const topic = context.topic({ ordered: true, partitions, groups: ['billing'] })
        const queues = Array.from({ length: partitions }, (_, index) => `${topic.name}:billing:${index}`)
        const owned = () => administration.queuesBeginningWith(`${topic.name}:billing:`)
        await context.bus({ topics: [topic] })
        const all = (await owned()).sort()
        // Every set of missing ones, the empty one and all of them left out.
        for (let set = 1; set < 2 ** partitions - 1; set += 1) {
          const missing = queues.filter((_, index) => (set >> index) % 2 === 1)
          await administration.plainly(async (channel) => {
            for (const queue of missing) await channel.deleteQueue(queue)
          })
          await (await context.bus({ topics: [topic] })).close()
          assert.deepEqual((await owned()).sort(), all, `${missing.join(', ')} was missing`)
        }
      },
    },
    {
      number: 116,
      title:
        'While the broker refuses declarations for a passing reason, starting goes on trying and says its reason',
      needs: ['restart'],
      alone: true,
      async run(context) {
        const lift = () => administration.control('clear_vhost_limits')
        context.defer(() => lift().catch(() => undefined))
        const queues = (await administration.list('list_queues', 'name')).length
        await administration.control('set_vhost_limits', JSON.stringify({ 'max-queues': queues }))
        const topic = context.topic({ groups: [context.unique('late')] })
        const provision = () => context.bus({ topics: [topic], timeout: context.pace(1000) })
        const { message } = await refusal('connecting', provision(), 'failed', 'timeout')
        assert.match(message, /queue limit in vhost .* is reached/)
        const connecting = context.bus({ topics: [topic] })
        await context.quiet(context.pace(500))
        await lift()
        await connecting
      },
    },
    {
      number: 117,
      title: 'A stream is refused as the queue of a group, by name',
      async run(context) {
        const stream = context.unique('stream')
        await administration.plainly((channel) =>
          channel.assertQueue(stream, { durable: true, arguments: { 'x-queue-type': 'stream' } }),
        )
        const topic = context.topic({
          groups: ['billing'],
          native: { rabbitmq: { groups: { billing: { queue: stream } } } },
        })
        const error = await refusal('connect', context.bus({ topics: [topic] }), 'unsupported')
        assert.match(error.message, new RegExp(`${stream} is a stream`))
        assert.ok(!error.retryable, 'retryable')
      },
    },
    {
      number: 118,
      title: 'The number of delay queues of a topic and its groups is bounded, partitions or not',
      needs: ['restart'],
      timeoutMs: 120_000,
      async run(context) {
        const topic = context.topic({ ordered: true, partitions: 8, groups: ['billing'] })
        await context.bus({ topics: [topic], native: { rabbitmq: { delayQueues: 'all' } } })
        const made = await administration.queuesBeginningWith(topic.name)
        const delays = made.filter((name) => name.includes(':delay:'))
        // Two ladders of 27 levels: the README's bound.
        assert.equal(delays.length, 54)
      },
    },
  ]
}
