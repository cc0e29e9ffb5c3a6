// What emulators do not show of leases, and of delays on FIFO queues.
import { type Clock, type Delivery, type Driver, type Subscription, systemClock } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { Refusal, ServiceStub, topicOf } from '../connection/service-stub.fixture.ts'
import type { SqsOptions } from '../options.ts'

const message = { MessageId: 'one', ReceiptHandle: 'receipt', Body: '{}' }

/** A clock that stands where it is put. */
function movable(): Clock & { at: number } {
  const clock = { ...systemClock, at: 0, now: () => clock.at, monotonic: () => clock.at }
  return clock
}

async function subscribe(
  service: ServiceStub,
  {
    clock,
    ordered = false,
    prefetch = 1,
    native = {},
  }: { clock: Clock; ordered?: boolean; prefetch?: number; native?: SqsOptions },
): Promise<{ driver: Driver; subscription: Subscription }> {
  const topic = topicOf('orders', ['billing'], { ordered })
  const group = { name: 'billing', types: ['#'], wishes: [], from: 'latest' as const }
  const driver = await service.connect({ pollWait: 0, ...native }, clock)
  await driver.apply({ topics: [{ topic, groups: [group] }] }, 'create')
  const request = { topic, group, prefetch, maxPrefetch: prefetch, leaseMs: 30_000, broadcast: false }
  return { driver, subscription: await driver.subscribe(request) }
}

async function next(subscription: Subscription): Promise<Delivery> {
  for (;;) {
    const [delivery] = await subscription.receive(1, new AbortController().signal)
    if (delivery !== undefined) return delivery
  }
}

test('a verdict that comes when the lease is over is stale, and touches nothing', async () => {
  const clock = movable()
  await using service = await ServiceStub.start({ ReceiveMessage: () => ({ Messages: [message] }) })
  const { driver, subscription } = await subscribe(service, { clock })
  const delivery = await next(subscription)
  clock.at = 30_000
  const outcomes = await subscription.settle([{ delivery, verdict: { kind: 'ack' } }])
  expect(outcomes).toMatchObject([{ ok: false, error: { code: 'stale' } }])
  await driver.close()
  expect(service.inputsOf('DeleteMessageBatch')).toEqual([])
  expect(service.inputsOf('ChangeMessageVisibilityBatch')).toEqual([])
})

test('what nobody renewed or settled before its lease was over is lost, and takes no room', async () => {
  const clock = movable()
  await using service = await ServiceStub.start({ ReceiveMessage: () => ({ Messages: [message] }) })
  const { driver, subscription } = await subscribe(service, { clock })
  const lost: Delivery[] = []
  subscription.onLost((deliveries) => lost.push(...deliveries))
  const delivery = await next(subscription)
  clock.at = 30_000
  await next(subscription)
  expect(lost).toEqual([delivery])
  await driver.close()
})

test('what came while the event loop stood still has had its lease since then', async () => {
  const clock = movable()
  let receives = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      receives += 1
      if (receives === 1) clock.at += 40_000
      return { Messages: [{ ...message, MessageId: `answer ${receives}` }] }
    },
  })
  const { driver, subscription } = await subscribe(service, { clock })
  expect(await next(subscription)).toMatchObject({ transportId: 'answer 2' })
  await driver.close()
})

test('a timer that fires too early does not end the receiving', async () => {
  let at = 0
  let early = 0
  const clock: Clock = {
    ...systemClock,
    monotonic: () => at,
    after(delayMs, callback) {
      const isEarly = early === 0
      early += 1
      const timer = setImmediate(() => {
        at += isEarly ? delayMs - 0.5 : delayMs
        callback()
      })
      return () => clearImmediate(timer)
    },
  }
  await using service = await ServiceStub.start({
    ReceiveMessage({ MaxNumberOfMessages }) {
      const count = MaxNumberOfMessages === 8 ? 6 : 1
      return { Messages: Array.from({ length: count }, (_, n) => ({ ...message, ReceiptHandle: String(n) })) }
    },
  })
  const { driver, subscription } = await subscribe(service, { clock, prefetch: 8 })
  const { signal } = new AbortController()
  expect(await subscription.receive(8, signal)).toHaveLength(6)
  // Nothing is settled meanwhile: only its own timer can make it ask for the little room there is.
  expect(await subscription.receive(2, signal)).toHaveLength(1)
  expect(early).toBeGreaterThan(1)
  await driver.close()
})

test('a delivery is not lost because its lease was renewed while it was being deleted', async () => {
  const deleting = Promise.withResolvers<void>()
  const renewed = Promise.withResolvers<void>()
  await using service = await ServiceStub.start({
    ReceiveMessage: () => ({ Messages: [message] }),
    async DeleteMessageBatch({ Entries }) {
      deleting.resolve()
      await renewed.promise
      return { Successful: Object(Entries) }
    },
    ChangeMessageVisibilityBatch: () => ({
      Failed: [{ Id: '0', Code: 'MessageNotInflight', SenderFault: true }],
    }),
  })
  const { driver, subscription } = await subscribe(service, { clock: systemClock })
  const lost: Delivery[] = []
  subscription.onLost((deliveries) => lost.push(...deliveries))
  const delivery = await next(subscription)
  const settling = subscription.settle([{ delivery, verdict: { kind: 'ack' } }])
  await deleting.promise
  await subscription.extend([delivery], 30_000)
  renewed.resolve()
  expect(await settling).toEqual([{ ok: true }])
  expect(lost).toEqual([])
  await driver.close()
})

test('on a FIFO queue what is early stays hidden until it is due, longer than one receipt may hide it', async () => {
  const clock = movable()
  // When it is received for the first, second and third time, of a delay of 10 s from 0.
  const receipts = [4000, 8000, 10_000].values()
  let count = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      clock.at = receipts.next().value ?? clock.at
      count += 1
      const Attributes = {
        ApproximateReceiveCount: String(count),
        SentTimestamp: '0',
        ApproximateFirstReceiveTimestamp: '4000',
        MessageGroupId: 'customer',
      }
      const waybill = { DataType: 'String', StringValue: '{"delayMs":10000}' }
      return { Messages: [{ ...message, Attributes, MessageAttributes: { waybill } }] }
    },
  })
  service.now = () => clock.at
  const native = { limits: { visibilityMs: 5000 } }
  const { driver, subscription } = await subscribe(service, { clock, ordered: true, native })
  expect(await next(subscription)).toMatchObject({ deliveries: 3, key: 'customer' })
  const hidden = service.inputsOf('ChangeMessageVisibilityBatch').map(({ Entries }) => Entries)
  expect(hidden).toMatchObject([[{ VisibilityTimeout: 4 }], [{ VisibilityTimeout: 2 }]])
  await driver.close()
})

test.each([
  [500, 'InternalError', 'failed'],
  [403, 'AccessDenied', 'access-denied'],
  [403, 'ExpiredToken', 'access-denied'],
])(
  'after a receive that ends in %i %s the subscription goes on, and keeps what is in hand',
  async (...given) => {
    const [status, refusal, code] = given
    let receives = 0
    await using service = await ServiceStub.start({
      ReceiveMessage() {
        receives += 1
        if (receives === 2) throw new Refusal(status, refusal)
        return { Messages: [{ ...message, ReceiptHandle: `receipt-${receives}` }] }
      },
    })
    const { driver, subscription } = await subscribe(service, { clock: systemClock, native: { gather: 0 } })
    const first = await next(subscription)
    const { signal } = new AbortController()
    await expect(subscription.receive(1, signal)).rejects.toMatchObject({ code, retryable: true })
    const [second] = await subscription.receive(1, signal)
    expect(second).toMatchObject({ receipt: 'receipt-3' })
    expect(await subscription.settle([{ delivery: first, verdict: { kind: 'ack' } }])).toEqual([{ ok: true }])
    await driver.close()
    expect(JSON.stringify(service.inputsOf('DeleteMessageBatch'))).toContain('receipt-1')
  },
)

test('a queue that is gone ends the subscription, for core to apply the topology', async () => {
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      throw new Refusal(400, 'com.amazonaws.sqs#QueueDoesNotExist')
    },
  })
  const { driver, subscription } = await subscribe(service, { clock: systemClock })
  await expect(subscription.receive(1, new AbortController().signal)).rejects.toMatchObject({
    code: 'topology-missing',
    retryable: false,
  })
  await driver.close()
})

test('what is given back goes as a copy that says how often its consumers died, on a FIFO queue it stays', async () => {
  const answer = (receives: number) => ({
    ReceiveMessage: () => ({
      Messages: [{ ...message, Attributes: { ApproximateReceiveCount: String(receives) } }],
    }),
  })
  for (const ordered of [false, true]) {
    await using service = await ServiceStub.start(answer(3))
    const { driver, subscription } = await subscribe(service, { clock: systemClock, ordered })
    const delivery = await next(subscription)
    expect(delivery).toMatchObject({ deliveries: 3, crashes: ordered ? 0 : 2 })
    expect(await subscription.settle([{ delivery, verdict: { kind: 'release' } }])).toEqual([{ ok: true }])
    await driver.close()
    const sent = service.inputsOf('SendMessageBatch')
    const past = { StringValue: '{"past":{"deliveries":3,"crashes":2}}' }
    if (ordered) expect(sent).toEqual([])
    else expect(sent).toMatchObject([{ Entries: [{ MessageAttributes: { waybill: past } }] }])
    expect(service.inputsOf('ChangeMessageVisibilityBatch')).toHaveLength(ordered ? 1 : 0)
  }
})

test('verdicts that come one by one travel together while others may come', async () => {
  await using service = await ServiceStub.start({
    ReceiveMessage: () => ({
      Messages: Array.from({ length: 4 }, (_, n) => ({ ...message, ReceiptHandle: String(n) })),
    }),
  })
  const { driver, subscription } = await subscribe(service, { clock: systemClock, prefetch: 20 })
  const deliveries: Delivery[] = []
  while (deliveries.length < 4)
    deliveries.push(...(await subscription.receive(4, new AbortController().signal)))
  const outcomes = await Promise.all(
    deliveries.slice(0, 3).map((delivery) => subscription.settle([{ delivery, verdict: { kind: 'ack' } }])),
  )
  expect(outcomes).toEqual([[{ ok: true }], [{ ok: true }], [{ ok: true }]])
  expect(service.inputsOf('DeleteMessageBatch').map(({ Entries }) => Entries)).toMatchObject([
    [{ ReceiptHandle: '0' }, { ReceiptHandle: '1' }, { ReceiptHandle: '2' }],
  ])
  await driver.close()
})

test.each(['retry', 'dead-letter'] as const)(
  'a %s whose copy is durable is only deleted when the subscription closes, not copied again',
  async (kind) => {
    let isRefusing = true
    await using service = await ServiceStub.start({
      ReceiveMessage: () => ({ Messages: [message] }),
      DeleteMessageBatch({ Entries }) {
        if (isRefusing) throw new Refusal(403, 'AccessDenied')
        return { Successful: Object(Entries) }
      },
    })
    const { driver, subscription } = await subscribe(service, { clock: systemClock })
    const delivery = await next(subscription)
    const verdict = { kind, delayMs: 0, headers: {} }
    expect(await subscription.settle([{ delivery, verdict }])).toMatchObject([{ ok: false }])
    isRefusing = false
    await driver.close()
    expect(service.inputsOf('SendMessageBatch')).toHaveLength(1)
    expect(service.inputsOf('DeleteMessageBatch')).toHaveLength(2)
  },
)

test('each of the verdicts that travel together gets its own answer', async () => {
  await using service = await ServiceStub.start({
    ReceiveMessage: () => ({
      Messages: Array.from({ length: 4 }, (_, n) => ({ ...message, ReceiptHandle: String(n) })),
    }),
    DeleteMessageBatch: ({ Entries }) => ({
      Successful: [Object(Entries)[0]],
      Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }],
    }),
  })
  const { driver, subscription } = await subscribe(service, { clock: systemClock, prefetch: 20 })
  const deliveries: Delivery[] = []
  while (deliveries.length < 4)
    deliveries.push(...(await subscription.receive(4, new AbortController().signal)))
  const verdict = { kind: 'ack' } as const
  const outcomes = await Promise.all(
    deliveries.slice(0, 3).map((delivery) => subscription.settle([{ delivery, verdict }])),
  )
  expect(outcomes).toMatchObject([
    [{ ok: true }],
    [{ ok: false, error: { retryable: true } }],
    [{ ok: false, error: { message: expect.stringContaining('no result for the entry') } }],
  ])
  await driver.close()
})

test('what is being acked while the subscription closes is not given back as a copy', async () => {
  const deleting = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  await using service = await ServiceStub.start({
    ReceiveMessage: () => ({ Messages: [message] }),
    async DeleteMessageBatch({ Entries }) {
      deleting.resolve()
      await closed.promise
      return { Successful: Object(Entries) }
    },
  })
  const { driver, subscription } = await subscribe(service, { clock: systemClock })
  const delivery = await next(subscription)
  const settling = subscription.settle([{ delivery, verdict: { kind: 'ack' } }])
  await deleting.promise
  await subscription.close()
  closed.resolve()
  expect(await settling).toEqual([{ ok: true }])
  expect(service.inputsOf('SendMessageBatch')).toEqual([])
  await driver.close()
})
