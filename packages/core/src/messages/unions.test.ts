import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { ConfigurationError } from '../lib/errors.ts'
import { createTestBus } from '../testing.ts'
import { defineMessage, type MessageDefinition, type MessageOf } from './definition.ts'
import type { Message } from './message.ts'
import { defineTopic } from './topic.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const returns = defineTopic('returns')
const OrderPlaced = defineMessage(orders, 'order.placed', { schema: z.object({ total: z.number() }) })
const OrderPaid = defineMessage(orders, 'order.paid', { schema: z.object({ by: z.string() }) })
const Returned = defineMessage(returns, 'returned', { schema: z.object({ why: z.string() }) })

type Placed = Message<{ total: number }, 'order.placed'>
type Paid = Message<{ by: string }, 'order.paid'>

describe('the literal type', () => {
  test('goes with the message, wherever it is sent and received', async () => {
    await using kit = await createTestBus({ topics: [orders] })
    const sent = await kit.bus.producer().send(OrderPlaced, { total: 1 })
    expectTypeOf(sent).toEqualTypeOf<Placed>()
    expectTypeOf(await kit.bus.producer().sendBatch(OrderPlaced, [])).toEqualTypeOf<Placed[]>()
    expectTypeOf(kit.sentOf(OrderPlaced)).toEqualTypeOf<readonly Placed[]>()
    const consumer = kit.bus.consumer('billing')
    consumer.on(OrderPlaced, (message) => expectTypeOf(message).toEqualTypeOf<Placed>())
    consumer.onBatch(OrderPaid, {}, (messages) => expectTypeOf(messages).toEqualTypeOf<readonly Paid[]>())
    for await (const { message } of kit.bus.receive(OrderPlaced, { group: 'billing' })) {
      expectTypeOf(message).toEqualTypeOf<Placed>()
      break
    }
  })

  test('is any text where a definition does not say more', () => {
    expectTypeOf<MessageOf<MessageDefinition<string, string>>>().toEqualTypeOf<Message<string>>()
    expectTypeOf<Placed>().toExtend<Message>()
    expectTypeOf<typeof OrderPlaced>().toExtend<MessageDefinition<{ total: number }, { total: number }>>()
    expectTypeOf<MessageOf<typeof OrderPlaced | typeof OrderPaid>>().toEqualTypeOf<Placed | Paid>()
  })

  test('leaves generic code as it was', async () => {
    await using kit = await createTestBus()
    const handle = <Input, Output>(
      definition: MessageDefinition<Input, Output>,
      take: (data: Output) => void,
    ) => kit.bus.consumer('any').on(definition, ({ data }) => take(data))
    handle(Returned, ({ why }) => why.trim())
  })
})

describe('a handler of several types', () => {
  test('gets their union, told apart by type, from one topic or several', async () => {
    await using kit = await createTestBus({ topics: [orders, returns] })
    const seen: (number | string)[] = []
    const consumer = kit.bus
      .consumer('billing', { allowUndeclaredGroup: true })
      .on([OrderPlaced, OrderPaid, Returned], (message) => {
        if (message.type === 'order.placed') seen.push(message.data.total)
        else if (message.type === 'order.paid') seen.push(message.data.by)
        else {
          expectTypeOf(message.data).toEqualTypeOf<{ why: string }>()
          seen.push(message.data.why)
        }
      })
    await consumer.start()
    const producer = kit.bus.producer()
    await producer.send(OrderPlaced, { total: 7 })
    await producer.send(OrderPaid, { by: 'card' })
    await producer.send(Returned, { why: 'too small' })
    await kit.idle()
    expect(seen.toSorted()).toEqual([7, 'card', 'too small'])
  })

  test('is refused where one of the types has a handler already, and without types', async () => {
    await using kit = await createTestBus()
    const consumer = kit.bus.consumer('billing').on(OrderPaid, () => {})
    expect(() => consumer.on([OrderPlaced, OrderPaid], () => {})).toThrow(
      /"order.paid".*already has a handler/,
    )
    // @ts-expect-error: no types, so no message
    expect(() => consumer.on([], () => {})).toThrow(/expected at least one message/)
    // @ts-expect-error: what a caller without types can do
    expect(() => consumer.on([undefined], () => {})).toThrow(/not undefined; a circle of imports/)
    // @ts-expect-error: a pattern belongs to a topic
    expect(() => consumer.on([OrderPlaced], 'order.*', () => {})).toThrow(ConfigurationError)
    // @ts-expect-error: its topic declares no such group
    expect(() => kit.bus.consumer('biling').on([OrderPlaced], () => {})).toThrow(/does not declare the group/)
  })
})
