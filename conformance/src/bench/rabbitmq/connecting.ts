import assert from 'node:assert/strict'
import type { ConnectOptions } from '@waybill/core'
import { connect } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { refusal } from '../../case/refusal.ts'
import type { Administration } from './administration.ts'

/** Without the native options of the harness, which would win over the URL. */
async function connectTo(context: CaseContext, url: string, native: object = {}) {
  const options: ConnectOptions = { url, adapter: context.harness.adapter, native: { rabbitmq: native } }
  const bus = await connect(options)
  context.defer(() => bus.close())
  return bus
}

/** A user with a password full of what URLs escape, who may do anything in a virtual host with a slash in its name. */
async function addTenant(administration: Administration, context: CaseContext) {
  const tenant = {
    user: context.unique('user'),
    password: 'p@ss:w/rd?#%',
    virtualHost: `team/${context.unique('host')}`,
  }
  await administration.control('add_vhost', tenant.virtualHost)
  await administration.control('add_user', tenant.user, tenant.password)
  await administration.control('set_permissions', '-p', tenant.virtualHost, tenant.user, '.*', '.*', '.*')
  return tenant
}

function urlOf(
  context: CaseContext,
  { user, password, virtualHost }: Awaited<ReturnType<typeof addTenant>>,
  query = '',
): string {
  const { host } = new URL(context.harness.connection.url)
  const [name, secret, path] = [user, password, virtualHost].map(encodeURIComponent)
  return `amqp://${name}:${secret}@${host}/${path}${query}`
}

export function connecting(administration: Administration): readonly Case[] {
  /** Of the connections that a user has, what the broker knows of them, each once. */
  async function connectionsOf(user: string): Promise<string[]> {
    const columns = ['user', 'vhost', 'timeout', 'client_properties']
    const rows = await administration.list('list_connections', ...columns)
    const described = rows
      .filter(([name]) => name === user)
      .map(([, virtualHost, heartbeat, properties = '']) => {
        const name = /"connection_name","(\S+)/.exec(properties)?.[1]
        return `${virtualHost} ${heartbeat} ${name}`
      })
    return [...new Set(described)]
  }

  return [
    {
      number: 101,
      title:
        'Credentials, virtual host, heartbeat and connection name are taken from the URL or native options, not both',
      needs: ['restart'],
      async run(context) {
        const tenant = await addTenant(administration, context)
        const url = urlOf(context, tenant, '?heartbeat=7&connectionName=shop')
        const bus = await connectTo(context, url)
        assert.deepEqual(await connectionsOf(tenant.user), [`${tenant.virtualHost} 7 shop`])
        const stage = await context.stage({ bus })
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, await stage.send(3))
        await bus.close()

        const { host } = new URL(context.harness.connection.url)
        const { user: username, password, virtualHost } = tenant
        const native = { username, password, virtualHost, heartbeat: '9s', connectionName: 'office' }
        await connectTo(context, `amqp://${host}`, native)
        assert.deepEqual(await connectionsOf(username), [`${virtualHost} 9 office`])
        const twice = await refusal('both', connectTo(context, url, native), 'invalid-options')
        for (const part of ['url?heartbeat', 'native.rabbitmq.virtualHost']) {
          assert.ok(twice.message.includes(part), `"${twice.message}" does not name ${part}`)
        }
      },
    },
    {
      number: 102,
      title: 'A wrong password or virtual host is refused at once as `access-denied`, and says which',
      async run(context) {
        const { username: user, password } = new URL(context.harness.connection.url)
        const right = { user, password, virtualHost: '/' }
        for (const [wrong, named] of [
          [{ password: 'secret-but-wrong' }, `user "${user}"`],
          [{ virtualHost: 'nowhere' }, 'virtual host "nowhere"'],
        ] as const) {
          const tenant = { ...right, ...wrong }
          // Trying again would take as long as the timeout of `connect`.
          const attempt = context.within('it is refused', connectTo(context, urlOf(context, tenant)))
          const { message, retryable } = await refusal('connect', attempt, 'access-denied')
          assert.ok(!retryable, 'retryable')
          assert.ok(message.includes(named), `"${message}" does not name ${named}`)
          assert.ok(!message.includes('secret'), 'the password is in the message')
        }
      },
    },
    {
      number: 103,
      title: 'A connection without a byte for two heartbeats is given up, and made anew when it is needed',
      needs: ['proxy'],
      async run(context) {
        const { options, proxy } = await context.proxied()
        const heartbeatMs = 1000
        const bus = await context.bus({ ...options, native: { rabbitmq: { heartbeat: heartbeatMs } } })
        const events: { readonly name: string; readonly at: number }[] = []
        const note = (name: string) => events.push({ name, at: performance.now() })
        bus.on('disconnected', () => note('disconnected'))
        bus.on('connected', () => note('connected'))
        const stage = await context.stage({ bus })
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, await stage.send(1))
        // Heartbeats keep an idle connection.
        await context.quiet(heartbeatMs * 4)
        assert.equal(events.length, 0, 'an idle connection was given up')
        const silentSince = performance.now()
        proxy.blackhole()
        context.defer(() => proxy.heal())
        await context.eventually('it is given up', () => events.length > 0)
        const afterMs = (events[0]?.at ?? 0) - silentSince
        // The client looks once a heartbeat: between two and three after the last byte, which came a heartbeat earlier at most.
        assert.ok(afterMs >= heartbeatMs, `given up after ${Math.round(afterMs)} ms`)
        assert.ok(afterMs <= heartbeatMs * 3 + context.slackMs, `given up after ${Math.round(afterMs)} ms`)
        proxy.heal()
        const sent = await stage.sendOne()
        await context.eventually('the message arrives', () => recorder.of(sent).length > 0)
        assert.deepEqual(
          events.map(({ name }) => name),
          ['disconnected', 'connected'],
        )
      },
    },
    {
      number: 105,
      title:
        'Of several hosts the first that answers is taken, be the others gone or silent, and again after a loss',
      needs: ['proxy'],
      async run(context) {
        const refusing = await context.proxied()
        await refusing.proxy.refuse()
        const silent = await context.proxied()
        silent.proxy.blackhole()
        const living = await context.proxied()
        const hosts = [refusing, silent, living].map(({ options }) => new URL(options.url ?? '').host)
        const { username, password } = new URL(context.harness.connection.url)
        const url = `amqp://${username}:${password}@${hosts.join(',')}`
        // Each silent host would use up the time for one alone.
        const startedAt = performance.now()
        const bus = await context.bus({ url, native: { rabbitmq: { connectTimeout: '60s' } } })
        const tookMs = performance.now() - startedAt
        assert.ok(tookMs < 10_000 + context.slackMs, `connected after ${Math.round(tookMs)} ms`)
        const stage = await context.stage({ bus })
        const recorder = context.recorder()
        await stage.consume(recorder)
        const before = await stage.send(3)
        await context.exactly(recorder, before)
        // The living one fails, and the one that was silent lives.
        silent.proxy.heal()
        await living.proxy.refuse()
        living.proxy.reset()
        await context.exactly(recorder, [...before, ...(await stage.send(3))], { duplicateBudget: 3 })
      },
    },
    {
      number: 106,
      title: 'A URL without a password, or with a heartbeat of 0, is refused by an error that names the URL',
      async run(context) {
        const { host } = new URL(context.harness.connection.url)
        for (const [url, named] of [
          [`amqp://user@${host}`, 'url: user "user" without a password'],
          [`amqp://${host}?heartbeat=0`, 'url?heartbeat'],
        ] as const) {
          const { message } = await refusal(url, connectTo(context, url), 'invalid-options')
          assert.ok(message.includes(named), `"${message}" does not name ${named}`)
        }
        const { message } = await refusal(
          'TLS options without TLS',
          connectTo(context, `amqp://${host}`, { tls: { servername: 'elsewhere' } }),
          'invalid-options',
        )
        assert.match(message, /native\.rabbitmq\.tls.*amqps/)
      },
    },
  ]
}
