import { expect, test } from 'vitest'
import { delivery } from '../driver/stub-driver.fixture.ts'
import { decodeDelivery, toMessage } from '../messages/cloud-events.ts'
import { DeliveryInHand } from './delivery.ts'
import { Hand } from './hand.ts'
import { AttemptContext } from './handler-context.ts'

const receipt = { topic: 'orders', group: 'billing', receivedAt: 1000, since: 0 }

function received(hand = new Hand()): DeliveryInHand {
  const inHand = new DeliveryInHand(delivery({ id: 'one' }), receipt, hand)
  inHand.read(toMessage(decodeDelivery(inHand.delivery), 1000), 'key')
  return inHand
}

test('a delivery refuses moves that its states do not allow', () => {
  const inHand = received()
  expect(() => inHand.waitAgain(1)).toThrow('A delivery that is waiting cannot become waiting')
  inHand.run(1)
  inHand.end(2)
  expect(() => inHand.backOff(2, 3)).toThrow('settling')
  inHand.settle(4)
  expect(() => inHand.lose(new Error('late'), 5)).toThrow('settled')
})

test('a delivery that backs off has a view and a signal of its own for the next attempt', () => {
  const inHand = received()
  inHand.run(1)
  const first = inHand.context
  inHand.abort(new Error('too slow'))
  expect(first.signal.aborted).toBe(true)
  inHand.backOff(2, 2)
  inHand.waitAgain(3)
  inHand.run(3)
  expect(inHand.context).toMatchObject({ attempt: 2 })
  expect(inHand.context.signal.aborted).toBe(false)
  expect(first.attempt).toBe(1)
})

test('spreading a context yields every field of it, and nothing else can be reached', () => {
  const { context } = received()
  expect(Reflect.ownKeys({ ...context }).sort()).toEqual(
    ['attempt', 'deliveries', 'group', 'idempotencyKey', 'message', 'mode', 'signal', 'topic'].sort(),
  )
  expect(Reflect.ownKeys(context)).toHaveLength(8)
  expect({ ...context }.signal).toBe(context.signal)
})

test('whoever settles by hand hears when the verdict is durable', async () => {
  const inHand = received()
  let isSettled = false
  const waiting = AttemptContext.whenSettled(inHand.context).then(() => {
    isSettled = true
  })
  inHand.end(1)
  await Promise.resolve()
  expect(isSettled).toBe(false)
  inHand.settle(2)
  await waiting
})

test('a delivery takes room until it is settled and has left its lane', () => {
  const hand = new Hand()
  const inHand = received(hand)
  inHand.enterLane()
  inHand.lose(new Error('gone'), 1)
  expect([hand.size, hand.occupied]).toEqual([0, 1])
  inHand.leaveLane()
  expect(hand.occupied).toBe(0)
})
