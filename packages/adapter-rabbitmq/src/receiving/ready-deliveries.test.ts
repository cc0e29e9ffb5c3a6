import { expect, test } from 'vitest'
import type { AmqpMessage } from '../wire/amqp.ts'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import { ReadyDeliveries } from './ready-deliveries.ts'

const properties: AmqpMessage['properties'] = {
  contentType: undefined,
  contentEncoding: undefined,
  headers: undefined,
  deliveryMode: undefined,
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: undefined,
  type: undefined,
  userId: undefined,
  appId: undefined,
  clusterId: undefined,
}

function delivery(deliveryTag: number): RabbitmqDelivery {
  const fields = { deliveryTag, redelivered: false, exchange: 'orders', routingKey: 'order.placed' }
  const carried = { contentType: undefined, headers: {}, attempt: 1, deliveries: 1, crashes: 0 }
  const others = { timestamp: undefined, transportId: undefined, subject: undefined }
  const content = Buffer.alloc(0)
  return new RabbitmqDelivery({ content, fields, properties }, { body: content, ...carried, ...others }, 0)
}

const never = new AbortController().signal
const tags = (deliveries: readonly RabbitmqDelivery[]) => deliveries.map(({ tag }) => tag)

test('no more are taken than asked for, and the rest stays', async () => {
  const ready = new ReadyDeliveries()
  for (const tag of [1, 2, 3]) ready.add(delivery(tag))
  expect(tags(await ready.take(2, never))).toEqual([1, 2])
  expect(tags(await ready.take(2, never))).toEqual([3])
})

test('what is handed out again comes in its old place', async () => {
  const ready = new ReadyDeliveries()
  ready.add(delivery(3))
  ready.addAgain([delivery(2), delivery(1)])
  expect(tags(await ready.take(9, never))).toEqual([1, 2, 3])
})

test('whoever waits gets what arrives, or nothing once the signal fires or all is over', async () => {
  const ready = new ReadyDeliveries()
  const first = ready.take(9, never)
  ready.add(delivery(1))
  expect(tags(await first)).toEqual([1])
  const controller = new AbortController()
  const second = ready.take(9, controller.signal)
  controller.abort()
  expect(await second).toEqual([])
  const third = ready.take(9, never)
  ready.close()
  expect(await third).toEqual([])
  expect(await ready.take(9, never)).toEqual([])
})

test('while something is on its way around, nothing is handed out', async () => {
  const ready = new ReadyDeliveries()
  const around = Promise.withResolvers<void>()
  const held = ready.holdDuring(around.promise)
  ready.add(delivery(1))
  const controller = new AbortController()
  const taking = ready.take(9, controller.signal)
  controller.abort()
  expect(await taking).toEqual([])
  around.resolve()
  await held
  expect(tags(await ready.take(9, never))).toEqual([1])
})
