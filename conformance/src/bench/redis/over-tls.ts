import assert from 'node:assert/strict'
import type { ConnectOptions } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { CaseContext } from '../../case/case-context.ts'
import { refusal } from '../../case/refusal.ts'
import { type Certificates, makeCertificates, serverName } from '../certificates.ts'
import { plainly } from './plain-client.ts'
import type { Servers } from './servers.ts'

type RedisOptions = NonNullable<NonNullable<ConnectOptions['native']>['redis']>

async function addressOf(servers: Servers, context: CaseContext): Promise<string> {
  return (await servers.address()) ?? context.skip('the container is not reached at its address')
}

async function sendsAndReceives(context: CaseContext, url: string, redis: RedisOptions): Promise<void> {
  const stage = await context.stage({
    connect: { url, native: { redis } },
    topic: { groups: [context.unique('group')] },
  })
  const recorder = context.recorder()
  await stage.consume(recorder)
  await context.exactly(recorder, await stage.send(20))
}

/** Servers whose certificate bears a name, while they are reached at an address. */
export const overTls = (servers: Servers): readonly Case[] => {
  let made: Promise<Certificates> | undefined
  const certificates = () => {
    made ??= makeCertificates('client')
    return made
  }
  return [
    {
      number: 218,
      part: 'a',
      title: 'A server that is looked up by a function of our own has its certificate checked for its name',
      async run(context) {
        const address = await addressOf(servers, context)
        const { authority, server } = await certificates()
        const port = servers.nextPort()
        await servers.start(port, await servers.tlsOptions(port, server, authority))
        const asked: string[] = []
        const dnsLookup = async (host: string) => {
          asked.push(host)
          return address
        }
        const url = `rediss://${serverName}:${port}`
        await sendsAndReceives(context, url, { tls: { ca: authority }, dnsLookup })
        assert.ok(asked.length > 0 && asked.every((host) => host === serverName), asked.join())
        const other = { tls: { ca: authority }, dnsLookup }
        const named = `rediss://other.test:${port}`
        const connecting = context.bus({ url: named, native: { redis: other }, timeout: 5000 })
        const { message } = await refusal('connect', connecting, 'connection-failed')
        assert.match(message, /other\.test/)
      },
    },
    {
      number: 218,
      part: 'b',
      title: 'A cluster over TLS whose certificate bears a name works with that name, and tells why without',
      timeoutMs: 120_000,
      async run(context) {
        const address = await addressOf(servers, context)
        const { authority, server } = await certificates()
        const url = await servers.startCluster({ server, authority })
        const known = { ca: authority, servername: serverName }
        await sendsAndReceives(context, url, { tls: known })
        const first = new URL(url.replace(/,[^?]*/, ''))
        const byName = `rediss://${serverName}:${first.port}?cluster=true`
        await sendsAndReceives(context, byName, { tls: known, dnsLookup: async () => address })
        const wrong = { 'no authority': { servername: serverName }, 'another name': { ca: authority } }
        for (const [what, tls] of Object.entries(wrong)) {
          const connecting = context.bus({ url, native: { redis: { tls } }, timeout: 5000 })
          const { message } = await refusal(`connect with ${what}`, connecting, 'connection-failed')
          assert.match(message, /could not agree on TLS \(.*(certificate|altnames)/i, `${what}: ${message}`)
        }
      },
    },
    {
      number: 218,
      part: 'c',
      title: 'Sentinel and the server it names are reached over TLS by the name in their certificate',
      timeoutMs: 120_000,
      async run(context) {
        const address = await addressOf(servers, context)
        const { authority, server } = await certificates()
        const [master, sentinel] = [servers.nextPort(), servers.nextPort()]
        await servers.start(master, await servers.tlsOptions(master, server, authority))
        await servers.startSentinel(sentinel, master, await servers.tlsOptions(sentinel, server, authority))
        const tls = { ca: authority, servername: serverName }
        await sendsAndReceives(context, `rediss://${address}:${sentinel}`, {
          tls,
          sentinel: { name: 'main', tls: true },
        })
      },
    },
    {
      number: 218,
      part: 'd',
      title: 'Credentials are asked for at each connection, so that what was renewed meanwhile is used',
      async run(context) {
        const user = context.unique('user')
        const admin = context.harness.connection.url
        const setPassword = (password: string) =>
          plainly(admin, (client) =>
            client.acl('SETUSER', user, 'on', 'resetpass', `>${password}`, '~*', '&*', '+@all'),
          )
        let password = 'first'
        await setPassword(password)
        const { host } = new URL(admin)
        const credentials = async () => ({ username: user, password })
        const stage = await context.stage({
          connect: { url: `redis://${host}`, native: { redis: { credentials } } },
          topic: { groups: [context.unique('group')] },
        })
        const recorder = context.recorder()
        await stage.consume(recorder)
        const before = await stage.send(5)
        await context.exactly(recorder, before)
        password = 'second'
        await setPassword(password)
        await plainly(admin, (client) => client.client('KILL', 'USER', user))
        await context.exactly(recorder, [...before, ...(await stage.send(5))])
      },
    },
  ]
}
