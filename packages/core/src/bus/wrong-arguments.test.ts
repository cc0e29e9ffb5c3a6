import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { stubAdapter, stubDriver } from '../driver/stub-driver.fixture.ts'
import { memoryIdempotencyStore } from '../idempotency/idempotency.ts'
import { ConfigurationError, MessagingError } from '../lib/errors.ts'
import { virtualClock } from '../lib/virtual-clock.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { createTestBus } from '../testing.ts'
import { connect } from './connect.ts'

// What callers without types can do: `never` fits everywhere.
const wrong = (value: unknown): never => z.custom<never>().parse(value)

const orders = defineTopic('orders', { groups: ['billing'] })
const schema = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const
const OrderPlaced = defineMessage(orders, 'order.placed', { schema })

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  throw new Error('The call was accepted')
}

const noDefinition =
  /definition: expected a message made by defineMessage\(\), not undefined; a circle of imports/
const noTopic = /topic: expected a topic made by defineTopic\(\), not undefined/
const noFunction = /expected a function/
const noObject = /expected object/
const unknownKey = /Unrecognized key: "timeot"/

describe('a wrong argument is refused by an error that explains it', async () => {
  const { bus, failNext, sentOf } = await createTestBus()
  const producer = bus.producer()
  const consumer = () => bus.consumer('billing')
  const group = bus.group(orders, 'billing')

  test.each<readonly [string, () => unknown, RegExp]>([
    ['connect()', () => connect(wrong(undefined)), noObject],
    ['connect with an unknown option', () => connect(wrong({ url: 'memory:', timeot: 3 })), unknownKey],
    [
      'connect with an unknown event',
      () => connect(wrong({ url: 'memory:', on: { faliure() {} } })),
      /faliure: there is no such event; there are connected,/,
    ],
    [
      'connect with a listener that is none',
      () => connect(wrong({ url: 'memory:', on: { failure: 3 } })),
      /on\.failure: expected a function/,
    ],
    ['defineTopic()', () => defineTopic(wrong(undefined)), /topic undefined:\n {2}- name: /],
    ['defineTopic with null', () => defineTopic('orders', wrong(null)), noObject],
    ['defineTopic with an unknown option', () => defineTopic('orders', wrong({ timeot: 3 })), unknownKey],
    ['defineMessage()', () => defineMessage(wrong(undefined), wrong(undefined), wrong(undefined)), noTopic],
    ['defineMessage with null', () => defineMessage(orders, 'a', wrong(null)), noObject],
    [
      'bus.on of an unknown event',
      () => bus.on(wrong('faliure'), () => {}),
      /faliure: there is no such event/,
    ],
    [
      'bus.on without a listener',
      () => bus.on('failure', wrong(undefined)),
      /failure: expected a function, not undefined/,
    ],
    ['bus.off without a listener', () => bus.off('failure', wrong(undefined)), noFunction],
    ['bus.use()', () => bus.use(wrong(undefined)), noObject],
    [
      'bus.use of nothing',
      () => bus.use({}),
      /expected at least one of send, handle, handleBatch and propagation/,
    ],
    ['bus.use of no function', () => bus.use(wrong({ send: 3 })), /send: expected a function/],
    ['bus.use with an unknown option', () => bus.use(wrong({ timeot: 3 })), unknownKey],
    ['bus.producer with null', () => bus.producer(wrong(null)), noObject],
    ['bus.producer with an unknown option', () => bus.producer(wrong({ timeot: 3 })), unknownKey],
    ['producer.use()', () => producer.use(wrong(undefined)), noFunction],
    ['producer.send()', () => producer.send(wrong(undefined), wrong(undefined)), noDefinition],
    ['producer.send of a topic', () => producer.send(wrong(orders), wrong({})), /not \{"name":"orders"/],
    ['producer.send with null', () => producer.send(OrderPlaced, {}, wrong(null)), noObject],
    [
      'producer.send with an unknown option',
      () => producer.send(OrderPlaced, {}, wrong({ timeot: 3 })),
      unknownKey,
    ],
    ['producer.sendBatch()', () => producer.sendBatch(wrong(undefined), []), noDefinition],
    [
      'producer.sendBatch of no array',
      () => producer.sendBatch(OrderPlaced, wrong(undefined)),
      /items: expected an array of data, not undefined/,
    ],
    ['producer.sendBatch with null', () => producer.sendBatch(OrderPlaced, [{}], wrong(null)), noObject],
    ['bus.consumer()', () => bus.consumer(wrong(undefined)), /consumer undefined:\n {2}- group: /],
    ['bus.consumer with null', () => bus.consumer('billing', wrong(null)), noObject],
    ['bus.consumer with an unknown option', () => bus.consumer('billing', wrong({ timeot: 3 })), unknownKey],
    [
      'bus.consumer with an unknown retry option',
      () => bus.consumer('billing', wrong({ retry: { timeot: 3 } })),
      unknownKey,
    ],
    ['consumer.on()', () => consumer().on(wrong(undefined), () => {}), /not undefined; a circle of imports/],
    ['consumer.on of null', () => consumer().on(wrong(null), () => {}), /not null/],
    ['consumer.on without a handler', () => consumer().on(OrderPlaced, wrong(undefined)), noFunction],
    [
      'consumer.on of a pattern without a handler',
      () => consumer().on('order.#', wrong(undefined)),
      noFunction,
    ],
    [
      'consumer.on of a topic without a pattern',
      () =>
        consumer().on(
          orders,
          wrong(() => {}),
          wrong(undefined),
        ),
      /expected on\(topic, pattern, handler\)/,
    ],
    [
      'consumer.on of half a definition',
      () => consumer().on(wrong({ topic: orders }), () => {}),
      /expected a message made by defineMessage/,
    ],
    ['consumer.onBatch()', () => consumer().onBatch(wrong(undefined), {}, () => {}), noDefinition],
    [
      'consumer.onBatch without options',
      () => consumer().onBatch(OrderPlaced, wrong(undefined), () => {}),
      noObject,
    ],
    [
      'consumer.onBatch without a handler',
      () => consumer().onBatch(OrderPlaced, {}, wrong(undefined)),
      noFunction,
    ],
    [
      'consumer.onBatch with an unknown option',
      () => consumer().onBatch(OrderPlaced, wrong({ timeot: 3 }), () => {}),
      unknownKey,
    ],
    ['consumer.use()', () => consumer().use(wrong(undefined)), noFunction],
    [
      'consumer.start with an unknown option',
      () =>
        consumer()
          .on(OrderPlaced, () => {})
          .start(wrong({ timeot: 3 })),
      unknownKey,
    ],
    ['consumer.stop with an unknown option', () => consumer().stop(wrong({ timeot: 3 })), unknownKey],
    ['bus.receive()', () => bus.receive(wrong(undefined), { group: 'billing' }), noDefinition],
    ['bus.receive without options', () => bus.receive(OrderPlaced, wrong(undefined)), noObject],
    [
      'bus.receive with an unknown option',
      () => bus.receive(OrderPlaced, wrong({ group: 'billing', timeot: 3 })),
      unknownKey,
    ],
    [
      'bus.group()',
      () => bus.group(wrong(undefined), wrong(undefined)),
      /group: [^\n]*\n|topic: expected a topic/,
    ],
    [
      'bus.group with an unknown option',
      () => bus.group(orders, 'billing', wrong({ timeot: 3 })),
      unknownKey,
    ],
    ['group.seek()', () => group.seek(wrong(undefined)), /position: /],
    ['group.seek to nowhere', () => group.seek(wrong({ to: 'soon' })), /position\.to: /],
    ['group.seek with an unknown option', () => group.seek(wrong({ to: 'latest', timeot: 3 })), unknownKey],
    ['group.seek to an offset without one', () => group.seek(wrong({ to: 'offset' })), /position\.offset: /],
    [
      'deadLetters.page with an unknown option',
      () => group.deadLetters.page(wrong({ timeot: 3 })),
      unknownKey,
    ],
    ['deadLetters.find()', () => group.deadLetters.find(wrong(undefined)), /expected string/],
    ['bus.provision()', () => bus.provision(wrong(undefined)), /expected array/],
    [
      'bus.provision of something else',
      () => bus.provision(wrong([undefined])),
      /0: expected a topic made by defineTopic/,
    ],
    ['bus.close with an unknown option', () => bus.close(wrong({ timeot: 3 })), unknownKey],
    ['bus.close with null', () => bus.close(wrong(null)), noObject],
    ['createTestBus with an unknown option', () => createTestBus(wrong({ timeot: 3 })), unknownKey],
    [
      'memoryIdempotencyStore with an unknown option',
      () => memoryIdempotencyStore(wrong({ timeot: 3 })),
      unknownKey,
    ],
    ['failNext()', () => failNext(wrong(undefined)), /expected number/],
    ['sentOf()', () => sentOf(wrong(undefined)), noDefinition],
  ])('%s', async (_, call, message) => {
    const error = await thrownBy(call)
    expect(MessagingError.is(error), String(error)).toBe(true)
    expect(error).toMatchObject({ code: expect.stringMatching(/^invalid-(options|message)$/) })
    expect(String(error)).toMatch(message)
  })
})

test('a pulled message refuses wrong options and can still be settled', async () => {
  const test = await createTestBus({ topics: [orders] })
  await test.bus.producer().send(OrderPlaced, {})
  for await (const delivery of test.bus.receive(OrderPlaced, { group: 'billing' })) {
    expect(delivery.data).toBe(delivery.message.data)
    await expect(delivery.retry(wrong({ dely: '5s' }))).rejects.toBeInstanceOf(ConfigurationError)
    await expect(delivery.retry(wrong(null))).rejects.toBeInstanceOf(ConfigurationError)
    await expect(delivery.deadLetter(wrong(undefined))).rejects.toBeInstanceOf(ConfigurationError)
    await delivery.ack()
    break
  }
  expect(test.handled).toHaveLength(1)
  await test.bus.close()
})

describe('listeners given to connect', () => {
  test('hear what happens while connecting', async () => {
    const heard: string[] = []
    let tries = 0
    const adapter = stubAdapter(() => {
      tries += 1
      if (tries > 1) return stubDriver()
      throw new MessagingError('connection-failed', 'nobody is there', { retryable: true })
    })
    const clock = virtualClock()
    const connecting = connect({
      url: 'stub:',
      clock,
      adapter: {
        ...adapter,
        connect: async (url, context) => {
          context.emit({ type: 'warning', message: 'connecting' })
          return adapter.connect(url, context)
        },
      },
      on: {
        warning: ({ message }) => heard.push(message),
        failure: ({ what, error }) => heard.push(`${what}: ${error.message}`),
      },
    })
    await clock.advance('1s')
    const bus = await connecting
    expect(heard).toEqual(['connecting', 'No connection to stub: nobody is there', 'connecting'])
    await bus.close()
  })
})
