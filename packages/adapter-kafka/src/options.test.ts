import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseKafkaOptions } from './options.ts'

const settingsOf = (url: string, native?: unknown) => parseKafkaOptions(parseBrokerUrl(url), native)

function problemsOf(url: string, native?: unknown): string[] {
  try {
    settingsOf(url, native)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues.map(({ path }) => path)
    throw error
  }
  return []
}

test('a bare URL is enough', () => {
  expect(settingsOf('kafka://')).toMatchObject({
    addresses: [{ host: 'localhost', port: 9092 }],
    compression: 'none',
  })
})

test('a URL names brokers, user and options', () => {
  expect(
    settingsOf('kafka+ssl://me:secret@one:9093,two/?sasl=scram-sha-512&compression=gzip&sessionTimeout=20s'),
  ).toMatchObject({
    addresses: [
      { host: 'one', port: 9093 },
      { host: 'two', port: 9092 },
    ],
    tls: {},
    sasl: { mechanism: 'scram-sha-512', username: 'me', password: 'secret' },
    compression: 'gzip',
    sessionTimeout: 20_000,
  })
})

test('an option is given once', () => {
  expect(problemsOf('kafka://a?compression=gzip', { compression: 'zstd' })).toEqual([
    'native.kafka.compression',
  ])
})

test('TLS that the scheme asks for cannot be switched off', () => {
  expect(problemsOf('kafka+ssl://a?tls=false')).toEqual(['url?tls'])
  expect(problemsOf('kafka+ssl://a', { tls: false })).toEqual(['native.kafka.tls'])
  expect(settingsOf('kafka://a?tls=true').tls).toEqual({})
})

test('an IPv6 address stays whole', () => {
  expect(settingsOf('kafka://[::1]:9093,[fe80::2]').addresses).toEqual([
    { host: '::1', port: 9093 },
    { host: 'fe80::2', port: 9092 },
  ])
})

test('fetches do not hold back what must be moved on in time', () => {
  expect(settingsOf('kafka://a').fetchWait).toBe(500)
  expect(settingsOf('kafka://a', { hold: 400, delayTiers: [100] }).fetchWait).toBe(100)
})

test('all problems are told at once, each with its path', () => {
  expect(
    problemsOf('kafka://a', { compression: 'rar', commitInterval: 'soon', delayTiers: [], surprise: 1 }),
  ).toEqual(
    expect.arrayContaining([
      'native.kafka.compression',
      'native.kafka.commitInterval',
      'native.kafka.delayTiers',
      'native.kafka',
    ]),
  )
  expect(problemsOf('kafka://a?nonsense=1')).toEqual(['url?nonsense'])
})

test('delay tiers ascend, and the first is at most half of the hold', () => {
  expect(problemsOf('kafka://a', { hold: '1s', delayTiers: ['600ms'] })).toEqual([
    'native.kafka.delayTiers.0',
  ])
  expect(problemsOf('kafka://a', { delayTiers: ['1s', '1s'] })).toEqual(['native.kafka.delayTiers'])
})

test('a session outlasts some heartbeats', () => {
  expect(problemsOf('kafka://a', { sessionTimeout: '1s', heartbeatInterval: '1s' })).toEqual([
    'native.kafka.heartbeatInterval',
  ])
})
