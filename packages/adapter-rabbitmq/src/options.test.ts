import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseRabbitmqOptions } from './options.ts'

function parse(url: string, native?: unknown) {
  return parseRabbitmqOptions(parseBrokerUrl(url), native)
}

test('the URL alone is enough', () => {
  expect(parse('amqp://localhost')).toMatchObject({
    hosts: [{ host: 'localhost', port: 5672 }],
    virtualHost: '/',
    heartbeat: 15_000,
  })
  expect(parse('amqp://localhost').tls).toBeUndefined()
})

test('credentials, hosts, virtual host and options come from the URL', () => {
  const url = 'amqps://me:s%2Fecret@one,two:1234/a%2Fb?heartbeat=5&connection_timeout=700&unroutable=reject'
  expect(parse(url, {})).toMatchObject({
    tls: {},
    username: 'me',
    password: 's/ecret',
    virtualHost: 'a/b',
    hosts: [
      { host: 'one', port: 5671 },
      { host: 'two', port: 1234 },
    ],
    heartbeat: 5000,
    connectTimeout: 700,
    unroutable: 'reject',
  })
})

test('native options are as good, but not for what the URL says already', () => {
  expect(parse('amqp://me@host', { password: 'secret' })).toMatchObject({
    username: 'me',
    password: 'secret',
  })
  expect(() => parse('amqp://host/a?heartbeat=5', { heartbeat: '7s', virtualHost: 'b' })).toThrow(
    /heartbeat: also given as url\?heartbeat[\s\S]*virtualHost: also given as url/,
  )
})

test('what is wrong with the URL names the URL', () => {
  expect(() => parse('amqp://me@host')).toThrow(/url: user "me" without a password/)
  expect(() => parse('amqp://host?heartbeat=0')).toThrow(/url\?heartbeat: /)
  expect(() => parse('amqp://host?nonsense=1')).toThrow(/url\?nonsense: unknown/)
})

test('TLS options without TLS are refused, and TLS without options is not', () => {
  expect(() => parse('amqp://host', { tls: { servername: 'x' } })).toThrow(/native\.rabbitmq\.tls: .*amqps/)
  expect(() => parse('amqps://host', { tls: false })).toThrow(/native\.rabbitmq\.tls/)
  expect(parse('amqps://host', { tls: { servername: 'x' } }).tls).toEqual({ servername: 'x' })
})

test('every problem is listed with its path', () => {
  const native = { requestTimeout: 0, unroutable: 'maybe', nonsense: 1 }
  expect(() => parse('amqp://host', native)).toThrow(ConfigurationError)
  expect(() => parse('amqp://host', native)).toThrow(
    /native\.rabbitmq\.requestTimeout[\s\S]*native\.rabbitmq\.unroutable[\s\S]*nonsense/,
  )
})
