// What the service is asked to make, where others are at work too.
import type { Driver, GroupSpec } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { arnOf, Refusal, ServiceStub, topicOf } from '../connection/service-stub.fixture.ts'

const orders = topicOf('orders', ['billing', 'audit'])

function apply(driver: Driver, types: readonly string[], topic = orders) {
  const groups = topic.groups.map(({ name }): GroupSpec => ({ name, types, wishes: [], from: 'latest' }))
  return driver.apply({ topics: [{ topic, groups }] }, 'create')
}

test('a queue that was deleted and made again lets its topic in again, though its subscription was never gone', async () => {
  await using service = await ServiceStub.start()
  const driver = await service.connect()
  await apply(driver, ['#'])
  const asked = service.asked.length
  await service.act('DeleteQueue', { QueueUrl: 'orders_billing' })
  expect((await apply(driver, ['#'])).created).toEqual(['queue orders_billing'])
  await driver.close()
  const changes = service.asked.slice(asked).filter(({ action }) => action === 'SetQueueAttributes')
  expect(changes).toHaveLength(1)
  expect(JSON.stringify(changes[0]?.input)).toContain(arnOf('sns', 'orders'))
  expect(JSON.stringify(changes[0]?.input)).toContain(arnOf('sqs', 'orders_billing'))
})

test('of two that subscribe a queue at once with other types, the slower one widens the filter of the faster', async () => {
  const policy = '{"ce-type":[{"exists":false},"order.created"]}'
  let isSubscribed = false
  const member = `<member><SubscriptionArn>faster</SubscriptionArn><Endpoint>${arnOf('sqs', 'orders_billing')}</Endpoint></member>`
  await using service = await ServiceStub.start({
    ListSubscriptionsByTopic: () => `<Subscriptions>${isSubscribed ? member : ''}</Subscriptions>`,
    Subscribe() {
      isSubscribed = true
      throw new Refusal(400, 'InvalidParameter')
    },
    GetSubscriptionAttributes: () =>
      `<Attributes><entry><key>RawMessageDelivery</key><value>true</value></entry><entry><key>FilterPolicy</key><value>${policy.replaceAll('"', '&quot;')}</value></entry></Attributes>`,
  })
  const driver = await service.connect({ fanOut: 'always' })
  await apply(driver, ['order.paid'], topicOf('orders', ['billing']))
  await driver.close()
  expect(service.inputsOf('SetSubscriptionAttributes')).toMatchObject([
    { SubscriptionArn: 'faster', AttributeName: 'RedrivePolicy' },
    {
      SubscriptionArn: 'faster',
      AttributeName: 'FilterPolicy',
      AttributeValue: '{"ce-type":[{"exists":false},"order.created","order.paid"]}',
    },
  ])
})

test('a refused subscription is an error where nobody else has made it', async () => {
  await using service = await ServiceStub.start({
    Subscribe() {
      throw new Refusal(403, 'AuthorizationError')
    },
  })
  const driver = await service.connect()
  await expect(apply(driver, ['#'])).rejects.toMatchObject({ code: 'access-denied' })
  await driver.close()
})

test.each([
  ['queue', { queues: { billing: arnOf('sqs', 'own') } }, 'CreateQueue', 'own'],
  ['topic', { topic: arnOf('sns', 'own') }, 'CreateTopic', 'own'],
])('a %s named by ARN is not made: it may be in another account', async (_, native, action, name) => {
  await using service = await ServiceStub.start()
  const driver = await service.connect()
  const topic = topicOf('orders', ['billing', 'audit'], { native: { sqs: native } })
  await expect(apply(driver, ['#'], topic)).rejects.toMatchObject({
    code: 'topology-missing',
    message: expect.stringContaining(':own does not exist'),
  })
  await driver.close()
  const made = service.inputsOf(action).map(({ QueueName, Name }) => QueueName ?? Name)
  expect(made).not.toContain(name)
})
