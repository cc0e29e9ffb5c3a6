import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseSettings } from './options.ts'

test('the URL alone is enough', () => {
  expect(parseSettings(parseBrokerUrl('amqp://localhost'), undefined)).toMatchObject({
    hosts: [{ host: 'localhost', port: 5672 }],
    virtualHost: '/',
    isTls: false,
    heartbeat: 15_000,
  })
})

test('credentials, hosts, virtual host and options come from the URL', () => {
  const url = parseBrokerUrl(
    'amqps://me:s%2Fecret@one,two:1234/a%2Fb?heartbeat=5&connection_timeout=700&unroutable=reject',
  )
  expect(parseSettings(url, {})).toMatchObject({
    isTls: true,
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

test('native options win over the URL', () => {
  const settings = parseSettings(parseBrokerUrl('amqp://me@host/a?heartbeat=5'), {
    heartbeat: '7s',
    virtualHost: 'b',
  })
  expect(settings).toMatchObject({ heartbeat: 7000, virtualHost: 'b', username: 'me' })
})

test('every problem is listed with its path', () => {
  const parse = () =>
    parseSettings(parseBrokerUrl('amqp://host'), { heartbeat: 0, tls: { caa: '' }, nonsense: 1 })
  expect(parse).toThrow(ConfigurationError)
  expect(parse).toThrow(/native\.rabbitmq\.tls[\s\S]*native\.rabbitmq\.heartbeat[\s\S]*nonsense/)
})
