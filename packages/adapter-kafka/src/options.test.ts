import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { parseSettings } from './options.ts'

const settingsOf = (url: string, native?: unknown) => parseSettings(parseBrokerUrl(url), native)

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
    brokers: ['localhost:9092'],
    tls: false,
    compression: 'none',
  })
})

test('a URL names brokers, user and options', () => {
  expect(
    settingsOf('kafka+ssl://me:secret@one:9093,two/?sasl=scram-sha-512&compression=gzip&sessionTimeout=20s'),
  ).toMatchObject({
    brokers: ['one:9093', 'two:9092'],
    tls: true,
    sasl: { mechanism: 'scram-sha-512', username: 'me', password: 'secret' },
    compression: 'gzip',
    sessionTimeout: 20_000,
  })
})

test('native options win over the URL', () => {
  const settings = settingsOf('kafka://a?compression=gzip&tls=true', { compression: 'zstd' })
  expect(settings).toMatchObject({ compression: 'zstd', tls: true })
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
  expect(problemsOf('kafka://a?nonsense=1')).toEqual(['url'])
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
