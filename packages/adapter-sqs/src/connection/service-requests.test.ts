// What the services are asked for, and what becomes of their answers, where emulators show neither.
import {
  type Delivery,
  headerNames,
  MessagingError,
  messageBytes,
  type OutboundMessage,
  systemClock,
  type TopicSpec,
} from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { arnOf, Refusal, ServiceStub, topicOf } from './service-stub.fixture.ts'

const groupOf = (name: string, types: readonly string[] = ['#']) => ({
  name,
  types,
  wishes: [],
  from: 'latest' as const,
})

function messageOf(topic: TopicSpec, id: string): OutboundMessage {
  return {
    topic,
    type: 'order.created',
    id,
    key: undefined,
    body: Buffer.from('{}'),
    contentType: 'application/cloudevents+json',
    attributes: { id, source: 'test', type: 'order.created' },
    headers: {},
    delayMs: 0,
    priority: undefined,
    expiresAt: undefined,
  }
}

const orders = topicOf('orders', ['billing'])
const simple = { topics: [{ topic: orders, groups: [groupOf('billing')] }] }

test('queues are made with the retention, tags, encryption and safety net that were asked for', async () => {
  await using service = await ServiceStub.start()
  const driver = await service.connect({
    tags: { team: 'sales' },
    retention: '4d',
    maxReceiveCount: 50,
    encryption: { kmsKeyId: 'alias/messages', reuseSeconds: 600 },
  })
  const report = await driver.apply(simple, 'create')
  await driver.close()
  expect(report.created).toEqual(['queue orders_billing_dead', 'queue orders_billing'])
  const common = {
    MessageRetentionPeriod: '345600',
    KmsMasterKeyId: 'alias/messages',
    KmsDataKeyReusePeriodSeconds: '600',
  }
  const tags = { team: 'sales', 'waybill:topic': 'orders', 'waybill:group': 'billing' }
  const RedrivePolicy = JSON.stringify({
    deadLetterTargetArn: arnOf('sqs', 'orders_billing_dead'),
    maxReceiveCount: 50,
  })
  expect(service.inputsOf('CreateQueue')).toEqual([
    { QueueName: 'orders_billing_dead', Attributes: common, tags },
    { QueueName: 'orders_billing', Attributes: { ...common, RedrivePolicy }, tags },
  ])
})

test('queues of ordered topics are FIFO queues of high throughput, with keys of SQS where asked for', async () => {
  await using service = await ServiceStub.start()
  const driver = await service.connect({ encryption: 'sqs' })
  const topic = topicOf('orders', ['billing'], { ordered: true })
  await driver.apply({ topics: [{ topic, groups: [groupOf('billing')] }] }, 'create')
  await driver.close()
  const [deadLetters, queue] = service.inputsOf('CreateQueue')
  const expected = {
    FifoQueue: 'true',
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
    SqsManagedSseEnabled: 'true',
  }
  expect(deadLetters).toMatchObject({ QueueName: 'orders_billing_dead.fifo', Attributes: expected })
  expect(queue).toMatchObject({ QueueName: 'orders_billing.fifo', Attributes: expected })
})

test('groups behind a topic get raw messages of their types, and only that topic is let in', async () => {
  await using service = await ServiceStub.start()
  const driver = await service.connect({
    tags: { team: 'sales' },
    encryption: { kmsKeyId: 'alias/messages' },
  })
  const topic = topicOf('orders', ['billing', 'audit'])
  const groups = [groupOf('billing', ['order.created', 'order.paid.#']), groupOf('audit')]
  await driver.apply({ topics: [{ topic, groups }] }, 'create')
  await driver.close()
  expect(service.inputsOf('CreateTopic')).toEqual([
    expect.objectContaining({
      Name: 'orders',
      'Attributes.entry.1.key': 'KmsMasterKeyId',
      'Attributes.entry.1.value': 'alias/messages',
      'Tags.member.1.Key': 'team',
      'Tags.member.2.Key': 'waybill:topic',
    }),
  ])
  const [billing, audit] = service.inputsOf('Subscribe')
  const filter = '{"ce-type":[{"exists":false},"order.created","order.paid",{"prefix":"order.paid."}]}'
  expect(billing).toMatchObject({
    TopicArn: arnOf('sns', 'orders'),
    Protocol: 'sqs',
    Endpoint: arnOf('sqs', 'orders_billing'),
    'Attributes.entry.1.key': 'RawMessageDelivery',
    'Attributes.entry.1.value': 'true',
    'Attributes.entry.2.key': 'FilterPolicy',
    'Attributes.entry.2.value': filter,
  })
  expect(audit).toMatchObject({
    'Attributes.entry.2.key': 'RedrivePolicy',
    'Attributes.entry.2.value': JSON.stringify({ deadLetterTargetArn: arnOf('sqs', 'orders_audit_dead') }),
  })
  expect(audit).not.toHaveProperty(['Attributes.entry.3.key'])
  const policies = service.inputsOf('SetQueueAttributes').map(({ Attributes }) => Attributes)
  // Of the queues, and of their dead letters, which take what SNS cannot deliver.
  expect(policies).toHaveLength(4)
  for (const policy of policies) {
    expect(JSON.stringify(policy)).toContain(arnOf('sns', 'orders'))
    expect(JSON.stringify(policy)).toContain('sns.amazonaws.com')
  }
})

test('with verify nothing is made, and queues named by ARN are looked for in their account', async () => {
  await using service = await ServiceStub.start()
  const driver = await service.connect()
  const topic = topicOf('orders', ['billing'], {
    native: { sqs: { queues: { billing: 'arn:aws:sqs:us-east-1:999988887777:billing-in' } } },
  })
  const report = await driver.apply({ topics: [{ topic, groups: [groupOf('billing')] }] }, 'verify')
  await driver.close()
  expect(report.missing.slice(0, 2)).toEqual(['queue orders_billing_dead', 'queue billing-in'])
  expect(service.inputsOf('GetQueueUrl')).toContainEqual({
    QueueName: 'billing-in',
    QueueOwnerAWSAccountId: '999988887777',
  })
  expect(service.asked.map(({ action }) => action)).not.toContain('CreateQueue')
})

test.each([
  [400, 'RequestThrottled', 'throttled', 'not-sent'],
  [400, 'ThrottlingException', 'throttled', 'not-sent'],
  [403, 'KmsThrottled', 'throttled', 'not-sent'],
  [503, 'ServiceUnavailable', 'failed', 'unknown'],
])('a send answered with %i %s ends in a typed error, for core to try again', async (...expected) => {
  const [status, refusal, code, fate] = expected
  await using service = await ServiceStub.start({
    SendMessageBatch() {
      throw new Refusal(status, refusal)
    },
  })
  const driver = await service.connect()
  await driver.apply(simple, 'create')
  const [outcome] = await driver.publish([messageOf(orders, 'one')])
  await driver.close()
  expect(outcome).toMatchObject({ ok: false, error: { code, fate, retryable: true } })
  expect(outcome?.ok === false && MessagingError.is(outcome.error)).toBe(true)
  expect(service.inputsOf('SendMessageBatch')).toHaveLength(1)
})

test('an entry that is refused fails its message and no other', async () => {
  await using service = await ServiceStub.start({
    SendMessageBatch: () => ({
      Successful: [{ Id: '0' }, { Id: '2' }],
      Failed: [{ Id: '1', Code: 'KmsThrottled', Message: 'slow down', SenderFault: true }],
    }),
  })
  const driver = await service.connect()
  await driver.apply(simple, 'create')
  const outcomes = await driver.publish(['one', 'two', 'three'].map((id) => messageOf(orders, id)))
  await driver.close()
  expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true])
  expect(outcomes[1]).toMatchObject({ error: { code: 'throttled', retryable: true, fate: 'not-sent' } })
})

test('what SQS itself moved to the dead letters is listed with them', async () => {
  const body = '{"specversion":"1.0","id":"one","source":"test","type":"order.created"}'
  const moved = {
    MessageId: 'of-the-service',
    ReceiptHandle: 'receipt',
    Body: body,
    Attributes: { ApproximateReceiveCount: '101', SentTimestamp: '1' },
    MessageAttributes: { 'content-type': { DataType: 'String', StringValue: 'application/json' } },
  }
  let receives = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      receives += 1
      return receives === 1 ? { Messages: [moved] } : {}
    },
  })
  const driver = await service.connect()
  await driver.apply(simple, 'create')
  const letters = []
  for await (const letter of driver.deadLetters(orders, 'billing').list()) letters.push(letter)
  await driver.close()
  expect(letters).toMatchObject([{ id: 'of-the-service', contentType: 'application/json', headers: {} }])
  expect(String(letters[0]?.body)).toBe(body)
  expect(service.inputsOf('ChangeMessageVisibilityBatch')).toMatchObject([
    { Entries: [{ ReceiptHandle: 'receipt', VisibilityTimeout: 0 }] },
  ])
})

test('a lease is renewed up to twelve hours from the receipt, and lost then', async () => {
  let isThere = true
  let now = 0
  await using service = await ServiceStub.start({
    ReceiveMessage() {
      const Messages = isThere ? [{ MessageId: 'one', ReceiptHandle: 'receipt', Body: '{}' }] : []
      isThere = false
      return { Messages }
    },
  })
  const driver = await service.connect({ pollWait: 0 }, { ...systemClock, monotonic: () => now })
  await driver.apply(simple, 'create')
  const subscription = await driver.subscribe({
    topic: orders,
    group: groupOf('billing'),
    prefetch: 1,
    maxPrefetch: 1,
    leaseMs: 30_000,
    broadcast: false,
  })
  const lost: Delivery[] = []
  subscription.onLost((deliveries) => lost.push(...deliveries))
  const deliveries = await subscription.receive(1, new AbortController().signal)
  const hour = 3_600_000
  for (const elapsed of [hour, 12 * hour - 20_000]) {
    now = elapsed
    await subscription.extend(deliveries, 30_000)
  }
  expect(lost).toEqual([])
  now = 12 * hour
  await subscription.extend(deliveries, 30_000)
  expect(lost).toEqual(deliveries)
  await driver.close()
  const hidden = service.inputsOf('ChangeMessageVisibilityBatch').map(({ Entries }) => Entries)
  expect(hidden).toMatchObject([[{ VisibilityTimeout: 30 }], [{ VisibilityTimeout: 19 }]])
})

test('headers travel in one attribute however many there are, so none is lost on the way through a topic', async () => {
  await using service = await ServiceStub.start({
    SendMessageBatch: () => ({ Successful: [{ Id: '0' }] }),
  })
  const driver = await service.connect()
  await driver.apply(simple, 'create')
  const headers = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`header-${index}`, 'value']))
  const message = { ...messageOf(orders, 'one'), headers: { ...headers, [headerNames.attempt]: '2' } }
  expect(messageBytes(message)).toBeLessThan(driver.capabilities.maxMessageBytes)
  await driver.publish([message])
  await driver.close()
  const [sent] = service.inputsOf('SendMessageBatch')
  const entries = JSON.parse(JSON.stringify(sent?.Entries))
  expect(Object.keys(entries[0].MessageAttributes).length).toBeLessThanOrEqual(10)
  expect(JSON.parse(entries[0].MessageAttributes.waybill.StringValue).headers).toMatchObject(message.headers)
})
