import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { Consumer } from '../consuming/consumer.ts'
import { createTestBus } from '../testing.ts'
import { type DataOf, defineMessage, type MessageDefinition } from './definition.ts'
import { defineTopic, type Topic } from './topic.ts'

const orders = defineTopic('orders', { groups: ['billing', { name: 'shipping', types: ['order.paid'] }] })
const free = defineTopic('free')
const schema = z.object({ total: z.string().transform(Number) })
const OrderPlaced = defineMessage(orders, 'order.placed', { schema })
const Anything = defineMessage(free, 'anything', { schema })

const refused = /does not declare the group "biling", only "billing", "shipping"/

describe('the groups of a topic', () => {
  test('are known to its type and those of its messages', () => {
    expectTypeOf(orders).toEqualTypeOf<Topic<'billing' | 'shipping'>>()
    expectTypeOf(free).toEqualTypeOf<Topic>()
    expectTypeOf(OrderPlaced).toEqualTypeOf<
      MessageDefinition<{ total: string }, { total: number }, 'billing' | 'shipping', 'order.placed'>
    >()
    expectTypeOf(orders).toExtend<Topic>()
    expectTypeOf(OrderPlaced).toExtend<MessageDefinition>()
    expectTypeOf<Consumer<'billing'>>().toExtend<Consumer>()
    expectTypeOf<Topic<'billing'>>().not.toExtend<Topic<'biling'>>()
  })

  test('make a typing error in a group’s name one of the compiler, and refused at run time', async () => {
    await using test = await createTestBus()
    const { bus } = test
    // @ts-expect-error: a typing error
    expect(() => bus.group(orders, 'biling')).toThrow(refused)
    // @ts-expect-error: a typing error
    expect(() => bus.receive(OrderPlaced, { group: 'biling' })).toThrow(refused)
    // @ts-expect-error: a typing error
    expect(() => bus.consumer('biling').on(OrderPlaced, () => {})).toThrow(refused)
    // @ts-expect-error: a typing error
    expect(() => bus.consumer('biling').onBatch(OrderPlaced, {}, () => {})).toThrow(refused)
    // @ts-expect-error: a typing error
    expect(() => bus.consumer('biling').on(orders, 'order.#', () => {})).toThrow(refused)
    const group: string = 'biling'
    expect(() => bus.consumer(group).on(OrderPlaced, () => {})).toThrow(refused)
  })

  test('may be others if asked for, and any on topics that declare none', async () => {
    await using test = await createTestBus()
    const { bus } = test
    bus.group(orders, 'billing')
    bus.group(orders, 'adhoc', { allowUndeclaredGroup: true })
    bus.group(free, 'adhoc')
    bus.receive(OrderPlaced, { group: 'shipping' })
    bus.receive(OrderPlaced, { group: 'adhoc', allowUndeclaredGroup: true })
    bus.receive(Anything, { group: 'adhoc' })
    bus.consumer('billing').on(OrderPlaced, ({ data }) => data.total.toFixed())
    bus.consumer('adhoc', { allowUndeclaredGroup: true }).on(OrderPlaced, ({ data }) => data.total.toFixed())
    bus.consumer('adhoc', { broadcast: true }).onBatch(OrderPlaced, {}, ([first]) => first?.data.total)
    bus.consumer('adhoc').on(Anything, ({ data }) => data.total.toFixed())
    bus
      .consumer('billing')
      .on(OrderPlaced, () => {})
      .on(Anything, () => {})
      .on('#', () => {})
  })

  test('may be asked for with true alone', async () => {
    await using test = await createTestBus()
    const { bus } = test
    // @ts-expect-error: what a caller without types can do
    expect(() => bus.group(orders, 'billing', { undeclared: true })).toThrow(/Unrecognized key.*undeclared/)
    // @ts-expect-error: a typing error, and asked for with false
    expect(() => bus.group(orders, 'biling', { allowUndeclaredGroup: false })).toThrow(refused)
  })
})

test('DataOf is what handlers get', () => {
  expectTypeOf<DataOf<typeof OrderPlaced>>().toEqualTypeOf<{ total: number }>()
  expectTypeOf<DataOf<typeof Anything>>().toEqualTypeOf<{ total: number }>()
})
