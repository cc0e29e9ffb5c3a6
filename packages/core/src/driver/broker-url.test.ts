import { expect, test } from 'vitest'
import { ConfigurationError } from '../lib/errors.ts'
import { parseBrokerUrl } from './broker-url.ts'

const nothing = { username: undefined, password: undefined, hosts: [], path: undefined, query: {} }

test('a URL falls into its parts, decoded', () => {
  expect(parseBrokerUrl('AMQPS://guest:p%40ss%2Fword@broker.example:5671/my%20host?heartbeat=5&a=b')).toEqual(
    {
      scheme: 'amqps',
      username: 'guest',
      password: 'p@ss/word',
      hosts: [{ host: 'broker.example', port: 5671 }],
      path: 'my host',
      query: { heartbeat: '5', a: 'b' },
    },
  )
})

test('several hosts keep their order, each with a port or without', () => {
  expect(parseBrokerUrl('kafka://a:9092,b,[::1]:9094').hosts).toEqual([
    { host: 'a', port: 9092 },
    { host: 'b', port: undefined },
    { host: '::1', port: 9094 },
  ])
})

test('a scheme alone is enough, and a name may follow it', () => {
  expect(parseBrokerUrl('memory:')).toEqual({ scheme: 'memory', ...nothing })
  expect(parseBrokerUrl('memory:shop')).toEqual({ scheme: 'memory', ...nothing, path: 'shop' })
  expect(parseBrokerUrl('sqs+http://localhost:4566/').scheme).toBe('sqs+http')
})

test('a password may come without a user, which is then none', () => {
  const { username, password } = parseBrokerUrl('redis://:secret@localhost')
  expect({ username, password }).toEqual({ username: undefined, password: 'secret' })
})

test.each([
  ['5672', /expected scheme/],
  ['', /expected scheme/],
  ['//host', /expected scheme/],
  ['amqp://host:0', /"host:0" is not host or host:port/],
  ['amqp://host:65536', /is not host or host:port/],
  ['amqp://host:5672:1', /is not host or host:port/],
  ['amqp://host:port', /is not host or host:port/],
  ['amqp://host/%zz', /broken percent escape/],
])('%s is refused with the reason', (text, reason) => {
  const parse = () => parseBrokerUrl(text)
  expect(parse).toThrow(ConfigurationError)
  expect(parse).toThrow(reason)
})

test.each([
  'amqp://user:sec@ret@host',
  'amqp://user:sec@ret:x@host',
  'amqp://user:sec/ret@host',
  'amqp://user:sec?ret@host',
  'amqp://user:sec#ret@host',
  'amqp://user:sec%zzret@host',
])('a password that is not percent-encoded is refused and never repeated: %s', (text) => {
  let message = ''
  try {
    parseBrokerUrl(text)
  } catch (error) {
    message = String(error)
  }
  expect(message).toMatch(/percent/)
  expect(message).not.toMatch(/sec|ret/)
})

test('a query that has a parameter twice is refused', () => {
  expect(() => parseBrokerUrl('kafka://host?tls=true&tls=false')).toThrow('the query has tls twice')
})
