import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, defineTopic, fixed, type Message, MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { numbered } from '../../fixtures/numbered.ts'
import type { RunningBroker } from '../brokers/index.ts'
import { driverOf, group, join, messageOf, numbersOf, some } from './bare-driver.ts'
import { base } from './keys.ts'
import { plainly } from './plain-client.ts'
import type { Servers } from './servers.ts'

const plain = <Value>(context: CaseContext, use: Parameters<typeof plainly<Value>>[1]) =>
  plainly(context.harness.connection.url, use)

const globOf = (text: string) => text.replace(/[{}]/g, '?')

/** The error that something must reject with. */
async function refusal(what: string, asked: Promise<unknown>): Promise<MessagingError> {
  const error = await asked.then(
    () => assert.fail(`${what} was accepted`),
    (thrown: unknown) => thrown,
  )
  assert.ok(MessagingError.is(error), what)
  return error
}

export const faults = (servers: Servers, broker: RunningBroker): readonly Case[] => [
  {
    number: 213,
    part: 'a',
    title:
      'Where the database of the URL cannot be selected nothing is sent, at connect or after a reconnect',
    async run(context) {
      const user = context.unique('user')
      const rules = ['on', '>secret', '~*', '&*', '+@all']
      await plain(context, (client) => client.acl('SETUSER', user, ...rules))
      const url = new URL(context.harness.connection.url)
      url.username = user
      url.password = 'secret'
      url.pathname = '/3'
      const topic = context.topic()
      const message = numbered(topic)
      const bus = await context.bus({ url: url.href })
      const producer = bus.producer()
      await producer.send(message, { n: 1 })
      await plain(context, async (client) => {
        await client.acl('SETUSER', user, '-select')
        await client.client('KILL', 'USER', user)
      })
      const error = await refusal('a send', producer.send(message, { n: 2 }, { timeout: 2000 }))
      assert.match(String(error.cause ?? error), /NOPERM|select/i)
      assert.equal((await bus.health()).status, 'down')
      assert.deepEqual(await plain(context, (client) => client.keys(`${globOf(base(topic))}*`)), [])
      const refused = await refusal('connecting', context.bus({ url: url.href, timeout: 2000 }))
      assert.equal(refused.code, 'access-denied')
      await plain(context, (client) => client.acl('SETUSER', user, '+select'))
      await producer.send(message, { n: 3 })
    },
  },
  {
    number: 213,
    part: 'b',
    title: 'A subscriber whose connection has gone silent notices, and hears notices again',
    needs: ['proxy'],
    timeoutMs: 60_000,
    async run(context) {
      const { options, proxy } = await context.proxied()
      const native = { redis: { mode: 'notices' } }
      const topic = context.topic({ native })
      const redis = { requestTimeout: 1000, connectTimeout: 1000, pollInterval: 500 }
      const bus = await context.bus({ ...options, native: { redis } })
      const recorder = context.recorder()
      await bus.consumer('anybody', { broadcast: true }).on(numbered(topic), recorder.handler()).start()
      const producer = (await context.bus()).producer()
      await producer.send(numbered(topic), { n: 0 })
      await context.eventually('the first is heard', () => recorder.ids.length === 1)
      proxy.blackhole()
      await sleep(4000)
      // The silent connections stay silent: only new ones reach the server.
      proxy.reset()
      proxy.heal()
      await context.eventually(
        'it hears again',
        async () => {
          await producer.send(numbered(topic), { n: 1 })
          return recorder.ids.length > 1
        },
        context.pace(15_000),
      )
    },
  },
  {
    number: 213,
    part: 'c',
    title:
      'A group that a flush took away is made anew from the beginning: what is confirmed meanwhile is handled',
    async run(context) {
      for (const ordered of [false, true]) {
        const stage = await context.stage({ topic: { ordered, groups: [context.unique('group')] } })
        const recorder = context.recorder()
        const warnings: string[] = []
        stage.bus.on('warning', ({ message }) => warnings.push(message))
        await stage.consume(recorder)
        await stage.sendOne()
        await context.eventually('it works', () => recorder.ids.length === 1)
        // Another process, which knows the topic alone, sends before the consumer comes round.
        const other = await context.bus()
        const producer = other.producer()
        await plain(context, async (client) => {
          const keys = await client.keys(`${globOf(base(stage.topic))}*`)
          await client.del(...keys)
        })
        const sent: Message[] = []
        const key = stage.topic.ordered ? { key: 'k' } : {}
        const message = numbered(
          defineTopic(stage.topic.name, { ordered, partitions: stage.topic.partitions }),
        )
        for (let n = 0; n < 4; n += 1) sent.push(await producer.send(message, { n }, key))
        await context.eventually('all of them are handled', () =>
          sent.every(({ id }) => recorder.ids.includes(id)),
        )
      }
    },
  },
  {
    number: 213,
    part: 'd',
    title: 'A failed connection to a cluster says why, and so does a wrong password',
    async run(context) {
      const url = new URL(context.harness.connection.url)
      url.search = 'cluster=true'
      const noCluster = await refusal(
        'a server that is no cluster',
        context.bus({ url: url.href, timeout: 1500 }),
      )
      assert.match(noCluster.message, /cluster support disabled/i)
      url.port = '1'
      const nobody = await refusal('nobody', context.bus({ url: url.href, timeout: 1500 }))
      assert.match(nobody.message, /ECONNREFUSED/)
    },
  },
  {
    number: 213,
    part: 'e',
    title: 'Credentials are asked for anew at each connection',
    async run(context) {
      const user = context.unique('user')
      const change = (password: string) =>
        plain(context, (client) =>
          client.acl('SETUSER', user, 'reset', 'on', `>${password}`, '~*', '&*', '+@all'),
        )
      await change('first')
      let password = 'first'
      const credentials = async () => ({ username: user, password })
      const bus = await context.bus({ native: { redis: { credentials } } })
      const topic = context.topic()
      const producer = bus.producer()
      await producer.send(numbered(topic), { n: 1 })
      password = 'second'
      await change('second')
      await plain(context, (client) => client.client('KILL', 'USER', user))
      await producer.send(numbered(topic), { n: 2 })
    },
  },
  {
    number: 213,
    part: 'f',
    title:
      'What the server handed out in an answer that was lost with the connection is handled all the same',
    async run(context) {
      const proxy = await broker.openProxy()
      context.defer(() => proxy.close())
      for (const ordered of [false, true]) {
        const topic = context.topic({ ordered, partitions: 1 })
        const sender = await driverOf(context)
        await sender.apply({ topics: [{ topic, groups: [group] }] }, 'create')
        const driver = await driverOf(context, { url: proxy.url })
        const member = await join(driver, topic, { leaseMs: 60_000 })
        await sender.publish([messageOf(topic, 0)])
        const [held] = await some(context, member, 1)
        assert.ok(held)
        proxy.delay(context.pace(700))
        const receiving = member.receive(10, AbortSignal.timeout(10_000)).catch(() => [])
        await sender.publish([messageOf(topic, 1), messageOf(topic, 2)])
        await context.eventually('the server has handed them out', async () => {
          const { inFlight } = await sender.stats(topic, group.name)
          return inFlight === 3
        })
        proxy.reset()
        proxy.delay(0)
        assert.deepEqual(await receiving, [], 'the answer did not arrive')
        const numbers: number[] = []
        await context.eventually('they come again', async () => {
          numbers.push(...numbersOf(await member.receive(10, AbortSignal.timeout(2000)).catch(() => [])))
          return numbers.length >= 2
        })
        assert.deepEqual(numbers, [1, 2], 'each once, and not what is in hand')
        const [outcome] = await member.settle([{ delivery: held, verdict: { kind: 'ack' } }])
        assert.ok(outcome?.ok, 'what was in hand is still ours')
      }
    },
  },
  {
    number: 214,
    part: 'a',
    title: 'Deduplication goes by source and id: the same id of another source is another message',
    async run(context) {
      const native = { redis: { deduplication: context.pace(10_000) } }
      const stage = await context.stage({ topic: { groups: [context.unique('group')], native } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const id = context.unique('message')
      const one = stage.bus.producer({ source: 'checkout' })
      const other = stage.bus.producer({ source: 'returns' })
      for (let round = 0; round < 2; round += 1) {
        await one.send(stage.message, { n: 1 }, { id })
        await other.send(stage.message, { n: 2 }, { id })
      }
      await context.exactly(recorder, [{ id }, { id }])
    },
  },
  {
    number: 215,
    part: 'a',
    title:
      'A full server pauses the consumers whose sends it refuses: no attempt is burnt, and all goes on later',
    timeoutMs: 90_000,
    async run(context) {
      const address =
        (await servers.address()) ?? context.skip('the containers are not reached at their addresses')
      const port = servers.nextPort()
      await servers.start(port, { maxmemory: '24mb', 'maxmemory-policy': 'noeviction' })
      const url = `redis://${address}:${port}`
      const events: string[] = []
      const bus = await connect({ url, adapter: context.harness.adapter, console: false })
      context.defer(() => bus.close())
      bus.on('blocked', () => events.push('blocked'))
      bus.on('unblocked', () => events.push('unblocked'))
      const source = await context.stage({ bus, topic: { groups: [context.unique('group')] } })
      const sink = await context.stage({ bus, topic: { groups: [context.unique('group')] } })
      const recorder = context.recorder()
      const sent = await source.send(40)
      // Full, to the last few kilobytes.
      await servers.cli(`-p ${port} debug populate 1 filler 1`)
      await servers.cli(`-p ${port} config set maxmemory 1`)
      await source.consume(
        recorder,
        { concurrency: 2, retry: { attempts: 3, backoff: fixed(50) } },
        async () => {
          await sink.sendOne({ timeout: 300 })
        },
      )
      await context.eventually('it is told', () => events.includes('blocked'))
      await context.quiet(6000)
      const during = recorder.deliveries.length
      assert.ok(during <= 8, `${during} attempts while the server was full`)
      await servers.cli(`-p ${port} config set maxmemory 64mb`)
      await context.eventually(
        'everything is handled',
        () => new Set(recorder.ids).size === sent.length,
        context.pace(20_000),
      )
      assert.ok(events.includes('unblocked'))
      assert.deepEqual(await source.deadLetters(), [])
    },
  },
  {
    number: 215,
    part: 'b',
    title:
      'Whoever connects to a server that is nearly full is warned, and stats() shows what takes the memory',
    async run(context) {
      const address =
        (await servers.address()) ?? context.skip('the containers are not reached at their addresses')
      const port = servers.nextPort()
      await servers.start(port, { 'maxmemory-policy': 'noeviction' })
      const used = /used_memory:(\d+)/.exec(await servers.cli(`-p ${port} info memory`))?.[1]
      await servers.cli(`-p ${port} config set maxmemory ${Math.round(Number(used) * 1.05)}`)
      const warnings: string[] = []
      await driverOf(context, {
        url: `redis://${address}:${port}`,
        onEvent: (event) => event.type === 'warning' && warnings.push(event.message),
      })
      assert.ok(
        warnings.some((message) => /% of its memory/.test(message)),
        String(warnings),
      )
    },
  },
  {
    number: 215,
    part: 'c',
    title: 'Dead letters beyond the bound of the retention are removed, oldest first, with a warning',
    async run(context) {
      const native = { redis: { retention: { deadLetters: { maxLength: 5 } } } }
      const stage = await context.stage({ topic: { groups: [context.unique('group')], native } })
      const warnings: string[] = []
      stage.bus.on('warning', ({ message }) => warnings.push(message))
      const recorder = context.recorder()
      await stage.consume(recorder, { retry: { attempts: 1 } }, () => {
        throw new Error('fails')
      })
      const sent = await stage.send(30)
      await context.eventually('all failed', () => recorder.ids.length === sent.length)
      await context.eventually(
        'five are left',
        async () => {
          await plain(context, (client) => client.del(`${base(stage.topic)}:group:${stage.group}:tidied`))
          return (await stage.deadLetters()).length === 5
        },
        context.pace(20_000),
      )
      const index = `${base(stage.topic)}:group:${stage.group}:dead:index`
      assert.equal(await plain(context, (client) => client.hlen(index)), 5)
      assert.ok(warnings.some((message) => /dead letters of group/.test(message)))
      const { native: figures } = await stage.bus.group(stage.topic, stage.group).stats()
      assert.ok(Number(figures?.deadLetterBytes) > 0)
    },
  },
  {
    number: 215,
    part: 'd',
    title: 'Without MEMORY, INFO and CLIENT stats() and health() work, and say what they do not know',
    async run(context) {
      const user = context.unique('user')
      const rules = ['on', '>secret', '~*', '&*', '+@all', '-memory', '-info', '-client']
      await plain(context, (client) => client.acl('SETUSER', user, ...rules))
      const url = new URL(context.harness.connection.url)
      url.username = user
      url.password = 'secret'
      const stage = await context.stage({
        connect: { url: url.href },
        topic: { groups: [context.unique('group')] },
      })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, await stage.send(20))
      const stats = await stage.bus.group(stage.topic, stage.group).stats()
      assert.equal(stats.waiting, 0)
      assert.equal(stats.native?.topicBytes, undefined)
      assert.equal((await stage.bus.health()).status, 'up')
    },
  },
  {
    number: 216,
    title: 'Topics and groups are listed, and deleted on request with all that was theirs',
    async run(context) {
      const stage = await context.stage({ topic: { groups: ['one', 'two'] } })
      await stage.send(10)
      await stage.sendOne({ delay: 60_000 })
      const { administration } = await driverOf(context)
      const topics = await administration.listTopics?.()
      const found = topics?.find(({ name }) => name === stage.topic.name)
      assert.ok(found)
      assert.deepEqual(await administration.listGroups?.(found), ['one', 'two'])
      await administration.deleteGroup?.(found, 'one')
      await administration.deleteGroup?.(found, 'never')
      assert.deepEqual(await administration.listGroups?.(found), ['two'])
      await administration.deleteTopic?.(found)
      await administration.deleteTopic?.(found)
      assert.equal(
        (await administration.listTopics?.())?.some(({ name }) => name === found.name),
        false,
      )
      assert.deepEqual(await plain(context, (client) => client.keys(`${globOf(base(stage.topic))}*`)), [])
    },
  },
]
