import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseSqsOptions, parseSqsTopicOptions } from './options.ts'

function read(url: string, native?: unknown) {
  return parseSqsOptions(parseBrokerUrl(url), native)
}

function issuesOf(run: () => unknown): string[] {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues.map(({ path }) => path)
    throw error
  }
  return []
}

test('the host of sqs: is the region', () => {
  expect(read('sqs://eu-west-1')).toMatchObject({ region: 'eu-west-1', endpoint: undefined })
  expect(read('sqs:').region).toBeUndefined()
})

test('sqs+http: names an endpoint, for both services unless told otherwise', () => {
  const url = 'sqs+http://key:secret@localhost:4566?region=us-east-2&pollWait=1s&maxPolls=3'
  expect(read(url)).toMatchObject({
    endpoint: 'http://localhost:4566',
    snsEndpoint: 'http://localhost:4566',
    region: 'us-east-2',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    pollWait: 1000,
    maxPolls: 3,
  })
  expect(read('sqs+https://[::1]:1', { snsEndpoint: 'http://other:2' })).toMatchObject({
    endpoint: 'https://[::1]:1',
    snsEndpoint: 'http://other:2',
  })
})

test('an option is given in the URL or natively, not in both', () => {
  expect(read('sqs://eu-west-1?prefix=a-', { fanOut: 'never' })).toMatchObject({
    prefix: 'a-',
    fanOut: 'never',
  })
  expect(issuesOf(() => read('sqs://eu-west-1?prefix=a-', { prefix: 'b-' }))).toEqual(['native.sqs.prefix'])
  expect(issuesOf(() => read('sqs://eu-west-1', { region: 'us-east-1' }))).toEqual(['native.sqs.region'])
})

test('regions need not be of AWS', () => {
  expect(read('sqs+https://mq.example.com?region=ru-central1').region).toBe('ru-central1')
  expect(read('sqs+http://localhost:9324?region=elasticmq').region).toBe('elasticmq')
})

test('credentials are a key or a function that gives one', () => {
  const provider = async () => ({ accessKeyId: 'a', secretAccessKey: 'b' })
  expect(read('sqs:', { credentials: provider }).credentials).toBe(provider)
  expect(issuesOf(() => read('sqs:', { credentials: { accessKeyId: 'a' } }))).toEqual([
    'native.sqs.credentials',
  ])
})

test('TLS cannot be asked for where the scheme has none', () => {
  expect(issuesOf(() => read('sqs+http://localhost', { tls: { servername: 'x' } }))).toEqual([
    'native.sqs.tls',
  ])
  expect(read('sqs+https://localhost', { tls: { servername: 'x' } }).tls).toEqual({ servername: 'x' })
})

test('messages are as large as what carries them allows', () => {
  expect(read('sqs:').limits.messageBytes).toBe(245_760)
  expect(read('sqs:', { fanOut: 'never' }).limits.messageBytes).toBe(1_015_808)
  expect(read('sqs:', { limits: { messageBytes: 65_536 } }).limits.messageBytes).toBe(65_536)
})

test('every problem of the options is listed with its path', () => {
  const native = { pollWait: '21s', maxReceiveCount: 1, limits: { delayMs: 901_000 }, unknown: 1 }
  expect(issuesOf(() => read('sqs:', native)).sort()).toEqual([
    'native.sqs',
    'native.sqs.limits.delayMs',
    'native.sqs.maxReceiveCount',
    'native.sqs.pollWait',
  ])
  expect(issuesOf(() => read('sqs:', 'text'))).toEqual(['native.sqs'])
})

test.each(['sqs://one,two', 'sqs://eu-west-1/path', 'sqs://eu-west-1:80', 'sqs+http:'])(
  '%s is no address',
  (url) => {
    expect(issuesOf(() => read(url))).toEqual(['url'])
  },
)

test('unknown words in the query are refused', () => {
  expect(issuesOf(() => read('sqs://eu-west-1?colour=red'))).toEqual(['url?colour'])
})

test('topics may name queues and topics of their own', () => {
  const topic = { name: 'orders', ordered: false, partitions: 1 }
  const native = { sqs: { queues: { billing: 'arn:aws:sqs:eu-west-1:123456789012:own' } } }
  expect(parseSqsTopicOptions({ ...topic, native }).queues.billing).toBe(
    'arn:aws:sqs:eu-west-1:123456789012:own',
  )
  expect(issuesOf(() => parseSqsTopicOptions({ ...topic, native: { sqs: { queue: 'x' } } }))).toEqual([
    'native.sqs',
  ])
})
