import { expect, test } from 'vitest'
import { admitting } from './queue-policy.ts'

const queue = 'arn:aws:sqs:eu-west-1:123456789012:orders_billing'
const topic = 'arn:aws:sns:eu-west-1:123456789012:orders'

test('only the topic may deliver', () => {
  const policy = JSON.parse(admitting(undefined, queue, topic) ?? '')
  expect(policy.Statement).toEqual([
    expect.objectContaining({
      Effect: 'Allow',
      Principal: { Service: 'sns.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: queue,
      Condition: { ArnEquals: { 'aws:SourceArn': topic } },
    }),
  ])
})

test('what else the policy says stays, and what it says already is not said twice', () => {
  const other = { Effect: 'Deny', Principal: '*', Action: 'sqs:*', Resource: queue }
  const policy = admitting(JSON.stringify({ Version: '2012-10-17', Statement: other }), queue, topic)
  expect(JSON.parse(policy ?? '').Statement).toHaveLength(2)
  expect(JSON.parse(policy ?? '').Statement[0]).toEqual(other)
  expect(admitting(policy, queue, topic)).toBeUndefined()
})

test('two topics may deliver, each by a statement of its own', () => {
  const policy = admitting(admitting(undefined, queue, topic), queue, `${topic}-other`)
  const statements: { Sid: string }[] = JSON.parse(policy ?? '').Statement
  expect(new Set(statements.map(({ Sid }) => Sid)).size).toBe(2)
  for (const { Sid } of statements) expect(Sid).toMatch(/^[A-Za-z0-9]+$/)
})
