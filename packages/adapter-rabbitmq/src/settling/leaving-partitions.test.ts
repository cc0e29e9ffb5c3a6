import { expect, test } from 'vitest'
import { RabbitmqDelivery } from '../wire/delivery.ts'
import { fromAmqp } from '../wire/messages.ts'
import { LeavingPartitions } from './leaving-partitions.ts'

function delivery(deliveryTag: number, partition: number): RabbitmqDelivery {
  const fields = { deliveryTag, redelivered: false, exchange: '', routingKey: '', consumerTag: '' }
  const properties = {
    contentType: undefined,
    contentEncoding: undefined,
    headers: {},
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
  const source = { content: Buffer.from('{}'), fields, properties }
  return new RabbitmqDelivery(source, fromAmqp(source), partition)
}

test('goes back as a whole, in the order of the queue, once nothing else is in hand', () => {
  const leaving = new LeavingPartitions()
  const [first, second, third] = [delivery(1, 0), delivery(2, 0), delivery(3, 0)]
  const elsewhere = delivery(4, 1)
  leaving.add(0)
  expect(leaving.keep(elsewhere)).toBe(false)
  expect([third, first].map((each) => leaving.keep(each))).toEqual([true, true])
  expect(leaving.takeComplete([first, second, third, elsewhere])).toEqual(new Map())
  expect(leaving.takeComplete([first, third, elsewhere])).toEqual(new Map([[0, [first, third]]]))
  expect(leaving.takeComplete([first, third, elsewhere])).toEqual(new Map())
  const late = delivery(5, 0)
  expect(leaving.keep(late)).toBe(true)
  expect(leaving.end(0)).toEqual([late])
  expect(leaving.any).toBe(false)
  expect(leaving.keep(late)).toBe(false)
})

test('has nothing to give back of a partition of which everything was settled', () => {
  const leaving = new LeavingPartitions()
  leaving.add(0)
  expect(leaving.takeComplete([delivery(1, 1)])).toEqual(new Map([[0, []]]))
  expect(leaving.end(0)).toEqual([])
  expect(leaving.has(0)).toBe(false)
})
