// What users see of a service that asks for patience, through core.
import { connect, defineMessage, defineTopic } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { adapter } from '../index.ts'
import { Refusal, ServiceStub } from './service-stub.fixture.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const OrderCreated = defineMessage(orders, 'order.created', { schema: z.object({ n: z.number() }) })

/** Closing waits for polls under way, and these get no answer. */
const native = { sqs: { pollWait: 0 } }

test.each([
  [400, 'RequestThrottled'],
  [503, 'ServiceUnavailable'],
])('a send that is answered with %i %s is made again, and resolves', async (status, code) => {
  let calls = 0
  await using service = await ServiceStub.start({
    SendMessageBatch({ Entries }) {
      calls += 1
      if (calls === 1) throw new Refusal(status, code)
      return { Successful: Object(Entries) }
    },
  })
  await using bus = await connect({ url: service.url, adapter, native })
  await bus.producer().send(OrderCreated, { n: 1 })
  expect(calls).toBe(2)
})

test('a send that is refused to its timeout rejects with a typed error that says why', async () => {
  await using service = await ServiceStub.start({
    SendMessageBatch() {
      throw new Refusal(400, 'RequestThrottled')
    },
  })
  await using bus = await connect({ url: service.url, adapter, native, topics: [orders] })
  await expect(bus.producer().send(OrderCreated, { n: 1 }, { timeout: '2s' })).rejects.toMatchObject({
    code: 'timeout',
    retryable: true,
    message: expect.stringContaining('RequestThrottled'),
    cause: { cause: { code: 'throttled' } },
  })
})

test('too much in flight (OverLimit) takes nothing away from a consumer', async () => {
  const body = { specversion: '1.0', id: 'one', source: 'test', type: 'order.created', data: { n: 1 } }
  const refused = Promise.withResolvers<void>()
  const deleted = Promise.withResolvers<void>()
  let polls = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      polls += 1
      if (polls === 1) {
        const MessageAttributes = {
          'content-type': { DataType: 'String', StringValue: 'application/cloudevents+json' },
        }
        return {
          Messages: [
            { MessageId: 'one', ReceiptHandle: 'receipt', Body: JSON.stringify(body), MessageAttributes },
          ],
        }
      }
      if (polls === 2) throw new Refusal(403, 'OverLimit')
      refused.resolve()
      return new Promise(() => undefined)
    },
    DeleteMessageBatch({ Entries }) {
      deleted.resolve()
      return { Successful: Object(Entries) }
    },
  })
  await using bus = await connect({ url: service.url, adapter, native })
  const codes: string[] = []
  bus.on('failure', ({ error }) => codes.push(error.code))
  const consumer = bus.consumer('billing').on(OrderCreated, () => refused.promise)
  await consumer.start()
  await deleted.promise
  expect(codes).toEqual(['throttled'])
  expect(polls).toBe(3)
  expect(service.inputsOf('ChangeMessageVisibilityBatch')).toEqual([])
})
