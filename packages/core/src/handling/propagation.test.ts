import { AsyncLocalStorage } from 'node:async_hooks'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { connect } from '../bus/connect.ts'
import { fixed } from '../lib/retry.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import type { IncomingTrace, Propagation } from './propagation.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Placed = defineMessage(orders, 'order.placed', { schema: z.object({}) })
const Billed = defineMessage(orders, 'order.billed', { schema: z.object({}) })

const traceOf = (digit: number) => `00-${String(digit).repeat(32)}-${'b'.repeat(16)}-01`

const buses: Bus[] = []
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
})

async function open(propagation: Propagation<string>) {
  const bus = await connect({ url: 'memory:', console: false, propagation })
  buses.push(bus)
  return bus
}

/** The context is the text of a trace parent, and a handler's own is one digit more. */
function traces() {
  const storage = new AsyncLocalStorage<string>()
  const extracted: IncomingTrace[] = []
  const propagation: Propagation<string> = {
    inject: () => ({ traceparent: storage.getStore() }),
    extract: (incoming) => {
      extracted.push(incoming)
      return incoming.traceparent ?? 'none'
    },
    run: (context, run) => storage.run(context, run),
  }
  return { storage, extracted, propagation }
}

test('what a handler sends carries the current context, not the one its message came with', async () => {
  const { storage, propagation } = traces()
  const bus = await open(propagation)
  const seen: (string | undefined)[] = []
  const billed = Promise.withResolvers<string | undefined>()
  await bus
    .consumer('billing')
    .on(Placed, async () => {
      seen.push(storage.getStore())
      await storage.run(traceOf(2), () => bus.producer().send(Billed, {}))
    })
    .on(Billed, ({ metadata }) => billed.resolve(metadata.traceparent))
    .start()
  await storage.run(traceOf(1), () => bus.producer().send(Placed, {}))
  expect(await billed.promise).toBe(traceOf(2))
  expect(seen).toEqual([traceOf(1)])
})

test('what cannot be decoded is seen too, in its context', async () => {
  const { storage, propagation, extracted } = traces()
  const bus = await open(propagation)
  const lettered = Promise.withResolvers<string | undefined>()
  bus.on('deadLettered', () => lettered.resolve(storage.getStore()))
  await bus
    .consumer('billing')
    .on(Placed, () => {})
    .start()
  const headers = { traceparent: traceOf(7) }
  bus.native('memory').publishRaw('orders', { body: Buffer.from('?'), contentType: 'text/plain', headers })
  expect(await lettered.promise).toBe(traceOf(7))
  expect(extracted).toMatchObject([{ topic: 'orders', group: 'billing', message: undefined, headers }])
})

test.each(['inject', 'extract', 'run'] as const)(
  'one whose %s throws is reported, and changes nothing',
  async (name) => {
    const failing = {
      ...traces().propagation,
      [name]: () => {
        throw new Error('no tracer')
      },
    }
    const bus = await open(failing)
    const failures: string[] = []
    bus.on('failure', ({ what, error }) => void failures.push(`${what}: ${error.message}`))
    const handled = Promise.withResolvers<void>()
    let calls = 0
    await bus
      .consumer('billing')
      .on(Placed, () => {
        calls += 1
        handled.resolve()
      })
      .start()
    await bus.producer().send(Placed, {})
    await handled.promise
    expect(calls).toBe(1)
    expect(failures).toContain('propagation: The propagation failed: no tracer')
  },
)

test('a retry and a replay are told where the attempt before them failed', async () => {
  const { storage, extracted, propagation } = traces()
  const bus = await open({ ...propagation, failedIn: () => storage.getStore() })
  bus.use({ handle: ({ attempt }, next) => storage.run(traceOf(attempt), next) })
  const lettered = Promise.withResolvers<void>()
  const handled = Promise.withResolvers<void>()
  bus.on('deadLettered', () => lettered.resolve())
  let isMended = false
  await bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1ms') } })
    .on(Placed, () => {
      if (!isMended) throw new Error('not yet')
      handled.resolve()
    })
    .start()
  await storage.run(traceOf(8), () => bus.producer().send(Placed, {}))
  await lettered.promise
  isMended = true
  await bus.group(orders, 'billing').deadLetters.replayAll()
  await handled.promise
  // Failures are noted outside of the middleware, in the context of the delivery.
  expect(extracted.map(({ attempt, failedIn }) => [attempt, failedIn])).toEqual([
    [1, undefined],
    [2, traceOf(8)],
    [2, traceOf(8)],
    [1, traceOf(8)],
  ])
})

test('a propagation can be added once, and is asked within the middleware of each message of a batch', async () => {
  const { storage, propagation } = traces()
  const bus = await connect({ url: 'memory:', console: false })
  buses.push(bus)
  const producer = bus.producer()
  bus.use({ propagation })
  expect(() => bus.use({ propagation })).toThrow(/propagation: the bus has one already/)
  let sent = 2
  bus.use({
    send: (_context, next) => {
      sent += 1
      return storage.run(traceOf(sent), next)
    },
  })
  const messages = await storage.run(traceOf(1), () => producer.sendBatch(Placed, [{}, {}]))
  expect(messages.map(({ metadata }) => metadata.traceparent)).toEqual([traceOf(3), traceOf(4)])
})
