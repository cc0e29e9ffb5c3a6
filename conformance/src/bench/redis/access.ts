import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { redisIdempotencyStore } from '@waybill/adapter-redis'
import { fixed, type Message, MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { selfSigned } from '../certificates.ts'
import { plainly } from './plain-client.ts'
import type { Servers } from './servers.ts'

/** What the adapter's README tells users to give: the rules of the block, on its keys and channels. */
async function documentedRules(): Promise<string[]> {
  const readme = await readFile(
    new URL('../../../../packages/adapter-redis/README.md', import.meta.url),
    'utf8',
  )
  const block = /## Permissions[\s\S]*?```\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  return ['~waybill:*', '&waybill:*', ...block.split(/\s+/).filter((rule) => rule !== '')]
}

/** Everything that the adapter asks of a server. */
async function useAll(context: CaseContext, url: string): Promise<void> {
  const failures: string[] = []
  for (const ordered of [false, true]) {
    const groups = [context.unique('group')]
    const native = { redis: { deduplication: '1s', retention: { maxLength: 10, maxAge: '1s' } } }
    const stage = await context.stage({ connect: { url }, topic: { ordered, groups, native } })
    stage.bus.on('failure', ({ what, error }) => failures.push(`${what}: ${error.message}`))
    stage.bus.on('disconnected', ({ error }) => failures.push(error.message))
    const recorder = context.recorder()
    const store = redisIdempotencyStore(url)
    context.defer(() => store.close())
    const retry = { attempts: 2, backoff: fixed(50) }
    const failing = new Set<string>()
    const options = { retry, concurrency: 2, lease: context.pace(600), idempotency: store }
    await stage.consume(recorder, options, async ({ id }) => {
      if (failing.has(id)) throw new Error('fails')
      await context.work(10)
    })
    const broadcast = context.recorder()
    const spectator = await context.bus({ url })
    await spectator.consumer('spectators', { broadcast: true }).on(stage.message, broadcast.handler()).start()
    const id = context.unique('message')
    failing.add(id)
    const failed = await stage.sendOne({ id })
    const delayed = await stage.sendOne({ delay: 100 })
    const batch: Message[] = await stage.send(20)
    await context.exactly(recorder, [failed, failed, delayed, ...batch])
    await context.exactly(broadcast, [failed, delayed, ...batch])
    failing.clear()
    const letters = stage.bus.group(stage.topic, stage.group).deadLetters
    await context.eventually('it is a dead letter', async () => (await letters.count()) === 1)
    const group = stage.bus.group(stage.topic, stage.group)
    await group.stats()
    assert.equal(await letters.replayAll(), 1)
    await context.exactly(recorder, [failed, failed, failed, delayed, ...batch])
    await group.seek({ to: 'latest' })
    assert.equal((await stage.bus.health()).status, 'up')
  }
  const topic = context.topic({ native: { redis: { mode: 'notices' } } })
  const bus = await context.bus({ url })
  const recorder = context.recorder()
  await bus.consumer('anybody', { broadcast: true }).on(numbered(topic), recorder.handler()).start()
  await context.exactly(recorder, [await bus.producer().send(numbered(topic), { n: 1 })])
  assert.deepEqual(failures, [])
}

export const access = (servers: Servers): readonly Case[] => [
  {
    number: 210,
    part: 'a',
    title:
      'A user with the permissions that the README names can do everything, and one without cannot connect',
    async run(context) {
      const user = context.unique('user')
      const rules = await documentedRules()
      await plainly(context.harness.connection.url, (client) =>
        client.acl('SETUSER', user, 'on', '>secret', ...rules),
      )
      const url = new URL(context.harness.connection.url)
      url.username = user
      url.password = 'wrong'
      const error = await context.bus({ url: url.href, timeout: 2000 }).then(
        () => assert.fail('a wrong password was accepted'),
        (thrown: unknown) => thrown,
      )
      assert.ok(MessagingError.is(error))
      assert.equal(error.code, 'access-denied')
      url.password = 'secret'
      url.pathname = '/3'
      await useAll(context, url.href)
      const selected = await plainly(context.harness.connection.url, async (client) => {
        await client.select(3)
        return client.dbsize()
      })
      assert.ok(selected > 0, 'it is in the database of the URL')
    },
  },
  {
    number: 210,
    part: 'b',
    title: 'Over TLS the certificate is checked, and with the right authority everything works',
    async run(context) {
      const address = (await servers.address()) ?? context.skip('the container is not reached at its address')
      const pair = await selfSigned(address)
      const port = servers.nextPort()
      const folder = `/data/tls-${port}`
      await servers.sh(`mkdir -p ${folder}`)
      for (const [name, text] of Object.entries(pair))
        await servers.sh(`printf '%s' '${text}' > ${folder}/${name}`)
      await servers.start(port, {
        port: '0',
        'tls-port': String(port),
        'tls-cert-file': `${folder}/certificate`,
        'tls-key-file': `${folder}/key`,
        'tls-auth-clients': 'no',
      })
      const url = `rediss://${address}:${port}`
      const error = await context.bus({ url, timeout: 2000 }).then(
        () => assert.fail('a certificate of nobody we know was accepted'),
        (thrown: unknown) => thrown,
      )
      assert.ok(MessagingError.is(error))
      assert.match(error.message, /self-signed|self signed/)
      const redis = { tls: { ca: pair.certificate } }
      const connect = { url, native: { redis } }
      const stage = await context.stage({ connect, topic: { groups: [context.unique('group')] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, await stage.send(100))
    },
  },
]
