import { expect, test } from 'vitest'
import { z } from 'zod'
import type { BatchInvocation } from '../handling/batch-collector.ts'
import { fixed } from '../lib/retry.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'

const orders = defineTopic('orders', { groups: ['billing', 'shipping'] })
const keyed = defineTopic('keyed', { ordered: true, groups: ['billing'] })
const Placed = defineMessage(orders, 'placed', { schema: z.object({ n: z.number() }) })
const Billed = defineMessage(orders, 'billed', { schema: z.object({}) })
const Moved = defineMessage(keyed, 'moved', { schema: z.object({ key: z.string() }), key: ({ key }) => key })

test('batch middleware wraps the call of a batch handler, and its failure is that of all messages', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const seen: (readonly [BatchInvocation['group'], number])[] = []
  let handled = 0
  kit.bus.use({
    handleBatch: async ({ messages, group }, next) => {
      seen.push([group, messages.length])
      if (seen.length === 1) throw new Error('not now')
      await next()
    },
  })
  await kit.bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1s') } })
    .onBatch(Placed, { size: 2, wait: '1s' }, (messages) => {
      handled += messages.length
    })
    .start()
  await kit.bus.producer().sendBatch(Placed, [{ n: 1 }, { n: 2 }])
  await kit.advance('3s')
  await kit.idle()
  expect(seen).toEqual([
    ['billing', 2],
    ['billing', 2],
  ])
  expect(handled).toBe(2)
})

test('batch middleware that does not call next fails its messages', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  kit.bus.use({ handleBatch: async () => {} })
  await kit.bus
    .consumer('billing', { retry: { attempts: 1 } })
    .onBatch(Placed, { size: 1, wait: '1s' }, () => {})
    .start()
  await kit.bus.producer().send(Placed, { n: 1 })
  await kit.idle()
  expect(await kit.bus.group(orders, 'billing').stats()).toMatchObject({ dead: 1 })
})

test('middleware is told how a message is handled, and by whose handler one is sent', async () => {
  await using kit = await createTestBus({ topics: [orders] })
  const modes: string[] = []
  const causes: (string | undefined)[] = []
  const received: string[] = []
  kit.bus.use({
    handle: ({ message, mode }, next) => {
      modes.push(`${message.type} ${mode}`)
      return next()
    },
    send: ({ definition, cause }, next) => {
      causes.push(`${definition.type} by ${cause?.type}`)
      return next()
    },
  })
  kit.bus.on('received', ({ message, group }) => received.push(`${message?.type} ${group}`))
  const producer = kit.bus.producer()
  const billing = kit.bus.consumer('billing').on(Placed, () => producer.send(Billed, {}))
  await billing.start()
  await producer.send(Placed, { n: 1 })
  await kit.idle()
  for await (const { ack } of kit.bus.receive(Billed, { group: 'shipping' })) {
    await ack()
    break
  }
  expect(modes).toEqual(['placed single', 'billed pull'])
  expect(causes).toEqual(['placed by undefined', 'billed by placed'])
  expect(received).toEqual(['billed shipping'])
})

test('health tells how many keys wait for their next attempt', async () => {
  await using kit = await createTestBus({ topics: [keyed] })
  await kit.bus
    .consumer('billing', { retry: { attempts: 2, backoff: fixed('1m') } })
    .on(Moved, ({ data: { key } }) => {
      if (key !== 'c') throw new Error('not now')
    })
    .start()
  for (const key of ['a', 'b', 'c', 'a']) await kit.bus.producer().send(Moved, { key })
  await kit.idle()
  const { consumers } = await kit.bus.health()
  expect(consumers).toMatchObject([{ inFlight: 3, heldKeys: 2 }])
})
