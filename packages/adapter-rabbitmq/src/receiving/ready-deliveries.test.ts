import { expect, test } from 'vitest'
import { deliveryOf } from '../wire/delivery.fixture.ts'
import type { RabbitmqDelivery } from '../wire/delivery.ts'
import { ReadyDeliveries } from './ready-deliveries.ts'

const never = new AbortController().signal
const tags = (deliveries: readonly RabbitmqDelivery[]) => deliveries.map(({ tag }) => tag)

test('no more are taken than asked for, and the rest stays', async () => {
  const ready = new ReadyDeliveries()
  for (const tag of [1, 2, 3]) ready.add(deliveryOf(tag))
  expect(tags(await ready.take(2, never))).toEqual([1, 2])
  expect(tags(await ready.take(2, never))).toEqual([3])
})

test('what is handed out again comes in its old place', async () => {
  const ready = new ReadyDeliveries()
  ready.add(deliveryOf(3))
  ready.addAgain([deliveryOf(2), deliveryOf(1)])
  expect(tags(await ready.take(9, never))).toEqual([1, 2, 3])
})

test('whoever waits gets what arrives, or nothing once the signal fires or all is over', async () => {
  const ready = new ReadyDeliveries()
  const first = ready.take(9, never)
  ready.add(deliveryOf(1))
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
  ready.add(deliveryOf(1))
  const controller = new AbortController()
  const taking = ready.take(9, controller.signal)
  controller.abort()
  expect(await taking).toEqual([])
  around.resolve()
  await held
  expect(tags(await ready.take(9, never))).toEqual([1])
})
