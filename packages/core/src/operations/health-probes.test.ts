import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { connect } from '../bus/connect.ts'
import { delivery, StubSubscription, stubBus, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Driver } from '../driver.ts'
import { MessagingError } from '../lib/errors.ts'
import { settle } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { healthProbes } from './health-probes.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Created = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

const hanging = () => new Promise<never>(() => {})

async function consuming(driver: Partial<Omit<Driver, 'capabilities'>> = {}) {
  const subscription = new StubSubscription()
  const { bus, clock } = await stubBus(stubDriver({ subscribe: async () => subscription, ...driver }))
  const consumer = bus.consumer('billing', { stuckAfter: '1m', concurrency: 1 }).on(Created, hanging)
  await consumer.start()
  return { bus, clock, subscription, probes: healthProbes(bus, { timeout: '50ms', restartAfter: '30ms' }) }
}

async function listening(server: Server) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

test('a bus that works is live, ready and healthy, with the figures of its groups', async () => {
  await using bus = await connect({ url: 'memory:' })
  await bus
    .consumer('billing')
    .on(Created, () => {})
    .start()
  const probes = healthProbes(bus, { parts: { relay: () => ({ status: 'up' }) } })
  expect(probes.live()).toEqual({ code: 200, body: { status: 'ok', problems: [] } })
  expect(await probes.ready()).toEqual({ code: 200, body: { status: 'ok', problems: [] } })
  expect(await probes.health()).toMatchObject({
    code: 200,
    body: {
      bus: 'up',
      broker: { driver: 'memory', status: 'up' },
      consumers: [{ topic: 'orders', group: 'billing', state: 'running', stats: { waiting: 0, dead: 0 } }],
      parts: { relay: 'up' },
    },
  })
})

test('a broker that is away makes the process not ready, and never not live', async () => {
  const away = new MessagingError('disconnected', 'The connection is lost', { retryable: true })
  const { probes } = await consuming({ health: async () => ({ status: 'down', error: away, details: {} }) })
  expect(probes.live().code).toBe(200)
  expect(await probes.ready()).toMatchObject({
    code: 503,
    body: { problems: ['The broker does not answer: The connection is lost'] },
  })
  expect((await probes.health()).body).toMatchObject({ bus: 'down', broker: { status: 'down' } })
})

test('stuck handlers make the process not live, until one of them moves', async () => {
  const { probes, subscription, clock } = await consuming()
  subscription.deliver(delivery({ data: { n: 1 } }))
  await settle()
  await clock.advance(59_000)
  expect(probes.live().code).toBe(200)
  await clock.advance(2000)
  expect(probes.live()).toMatchObject({
    code: 503,
    body: { problems: [expect.stringMatching(/Group billing on topic orders has stopped: All 1 handlers/)] },
  })
  // The broker is well, and the process takes part: only a restart helps.
  expect((await probes.ready()).code).toBe(200)
})

test('a receive that does not come back makes the process not live; one that does is asked again', async () => {
  const { probes, subscription, clock } = await consuming()
  await clock.advance(61_000)
  expect(probes.live().code).toBe(200)
  await settle()
  await clock.advance(11_000)
  expect(probes.live().code).toBe(200)
  subscription.receive = hanging
  subscription.deliver(delivery({ data: { n: 1 } }))
  await settle()
  await clock.advance(61_000)
  expect(probes.live().code).toBe(503)
})

test('a consumer that the broker refuses for long makes the process not live', async () => {
  const { probes, subscription, bus } = await consuming()
  subscription.breakWith(new MessagingError('access-denied', 'No longer allowed'))
  await settle()
  expect(bus.consumerHealth()[0]?.state).toBe('recovering')
  expect(probes.live().code).toBe(200)
  expect(await probes.ready()).toMatchObject({
    code: 503,
    body: { problems: [expect.stringMatching(/is recovering/)] },
  })
  await expect.poll(() => probes.live().code).toBe(503)
  expect(probes.live().body.problems).toEqual([
    expect.stringMatching(/has not got its subscription back.*No longer allowed/),
  ])
})

test('a part that is down, throws or hangs makes the process not ready, by name', async () => {
  await using bus = await connect({ url: 'memory:' })
  const probes = healthProbes(bus, {
    timeout: '20ms',
    parts: {
      relay: () => ({ status: 'down' }),
      database: () => Promise.reject(new Error('No route to the database')),
      cache: hanging,
      slow: () => ({ status: 'degraded' }),
    },
  })
  expect((await probes.ready()).body.problems).toEqual([
    'relay is down',
    'database is down: No route to the database',
    'cache is down: It did not answer within 20 ms',
  ])
  expect((await probes.health()).body.problems).toContain('slow is degraded')
  expect(probes.live().code).toBe(200)
})

test('a part that answers with something else than a status is down, whatever else it says', async () => {
  await using bus = await connect({ url: 'memory:' })
  const answers = { relay: undefined, cache: true, queue: { status: 'fine' } }
  const parts = Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, () => answer]))
  const probes: ReturnType<typeof healthProbes> = Reflect.apply(healthProbes, undefined, [bus, { parts }])
  expect((await probes.ready()).body.problems).toEqual([
    expect.stringMatching(/^relay is down: It did not answer with a status/),
    expect.stringMatching(/^cache is down: It did not answer with a status/),
    expect.stringMatching(/^queue is down: It did not answer with a status/),
  ])
})

test('a bus that is closing is not ready', async () => {
  const bus = await connect({ url: 'memory:' })
  const probes = healthProbes(bus)
  await bus.close()
  expect((await probes.ready()).code).toBe(503)
})

test.each([
  ['node:http', async (probes: ReturnType<typeof healthProbes>) => createServer(probes.node)],
  [
    'Express',
    async (probes: ReturnType<typeof healthProbes>) => {
      const app = express().use(probes.node)
      app.get('/other', (_, response) => void response.send('other'))
      return createServer(app)
    },
  ],
  [
    'Fastify',
    async (probes: ReturnType<typeof healthProbes>) => {
      const app = fastify()
      for (const path of ['/livez', '/readyz', '/healthz', '/nothing']) {
        app.get(path, (request, reply) => {
          reply.hijack()
          probes.node(request.raw, reply.raw)
        })
      }
      await app.ready()
      return app.server
    },
  ],
])('they answer in %s', async (name, serverOf) => {
  await using bus = await connect({ url: 'memory:' })
  const server = await serverOf(healthProbes(bus))
  const origin = await listening(server)
  for (const path of ['/livez', '/readyz', '/healthz?verbose']) {
    const response = await fetch(`${origin}${path}`)
    expect([response.status, await response.json()]).toMatchObject([200, { status: 'ok' }])
  }
  expect((await fetch(`${origin}/nothing`)).status).toBe(404)
  if (name === 'Express') expect(await (await fetch(`${origin}/other`)).text()).toBe('other')
  if (name !== 'Fastify') expect((await fetch(`${origin}/livez`, { method: 'POST' })).status).toBe(405)
  const head = await fetch(`${origin}/livez`, { method: 'HEAD' }).catch(() => undefined)
  expect(head?.status).toBe(200)
  await bus.close()
  expect((await fetch(`${origin}/readyz`)).status).toBe(503)
  server.close()
})

test('they answer in Hono', async () => {
  await using bus = await connect({ url: 'memory:' })
  const probes = healthProbes(bus, { paths: { live: '/internal/live' } })
  const app = new Hono()
  for (const path of ['/internal/live', '/readyz', '/healthz']) app.get(path, (c) => probes.fetch(c.req.raw))
  expect((await app.request('/internal/live')).status).toBe(200)
  expect(await (await app.request('/healthz')).json()).toMatchObject({ bus: 'up' })
  await bus.close()
  expect((await app.request('/readyz')).status).toBe(503)
})

test.each(['//', '//livez', '/\\\\', '*', '/%'])(
  'a stranger who asks for %s is told that there is no probe',
  async (path) => {
    await using bus = await connect({ url: 'memory:' })
    const server = createServer(healthProbes(bus).node)
    const { port } = new URL(await listening(server))
    const request = get({ host: '127.0.0.1', port, path, agent: false })
    const [response]: IncomingMessage[] = await once(request, 'response')
    expect(response?.statusCode).toBe(404)
    response?.resume()
    server.close()
  },
)

test('a probe that the server has given up meanwhile is left alone', async () => {
  await using bus = await connect({ url: 'memory:' })
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<{ status: 'up' }>()
  const relay = () => {
    asked.resolve()
    return answer.promise
  }
  const probes = healthProbes(bus, { parts: { relay } })
  const server = createServer(async (request, response) => {
    probes.node(request, response)
    await asked.promise
    response.writeHead(504).end()
  })
  const response = await fetch(`${await listening(server)}/readyz`)
  expect(response.status).toBe(504)
  // Nothing may be thrown where nobody can catch it: the test run would fail.
  answer.resolve({ status: 'up' })
  await new Promise((resolve) => setTimeout(resolve, 20))
  server.close()
})

test('every wrong option is refused', async () => {
  await using bus = await connect({ url: 'memory:' })
  const wrong = { paths: { live: 'livez', ready: '/healthz' }, timeout: '0s', parts: { relay: 1 }, extra: 1 }
  expect(() => Reflect.apply(healthProbes, undefined, [bus, wrong])).toThrow(/paths\.live.*timeout.*extra/s)
})
