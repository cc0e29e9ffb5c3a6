import { ConfigurationError, parseBrokerUrl } from '@waybill/core/driver'
import { describe, expect, it } from 'vitest'
import { parseRedisOptions, parseRedisTopicOptions } from './options.ts'

function issuesOf(url: string, native?: unknown): string[] {
  try {
    parseRedisOptions(parseBrokerUrl(url), native)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues.map(({ path }) => path).sort()
    throw error
  }
  return []
}

describe('parseRedisOptions', () => {
  it('reads user, database, and options of the URL', () => {
    const url = 'rediss://user:p%40ss@example.org:6380/3?prefix=shop&pollInterval=100ms'
    expect(parseRedisOptions(parseBrokerUrl(url), undefined)).toMatchObject({
      prefix: 'shop',
      pollInterval: 100,
      ...{ username: 'user', password: 'p@ss', database: 3, tls: {} },
      hosts: [{ host: 'example.org', port: 6380 }],
    })
  })

  it('takes an option in one place only', () => {
    expect(issuesOf('redis://localhost?prefix=a', { prefix: 'b' })).toEqual(['native.redis.prefix'])
  })

  it('refuses what would end consumers or senders again and again', () => {
    const url = 'redis://localhost'
    expect(issuesOf(url, { pollInterval: '10s' })).toEqual(['native.redis.pollInterval'])
    expect(issuesOf(url, { requestTimeout: '2s', durability: { replicas: 1 } })).toEqual([
      'native.redis.durability.timeout',
    ])
  })

  it('has defaults for everything else', () => {
    expect(parseRedisOptions(parseBrokerUrl('redis://localhost'), undefined)).toMatchObject({
      ...{ prefix: 'waybill', pollInterval: 1500, cluster: false, mirrorAttributes: 'none' },
      retention: { maxLength: 10_000 },
      ...{ hosts: [{ host: 'localhost', port: 6379 }], database: 0 },
    })
  })

  it('lists every problem of URL and native options at once', () => {
    expect(issuesOf('redis://localhost/orders?nonsense=1', { pollInterval: 'soon', unknown: 1 })).toEqual([
      'native.redis',
      'native.redis.pollInterval',
      'url',
      'url?nonsense',
    ])
  })

  it('refuses what contradicts itself', () => {
    expect(issuesOf('redis://a,b')).toEqual(['native.redis'])
    expect(issuesOf('redis://a,b/1?cluster=true')).toEqual(['url'])
    expect(issuesOf('redis://a,b?cluster=true', { durability: { replicas: 1 } })).toEqual([
      'native.redis.durability',
    ])
    expect(issuesOf('redis://a,b?sentinel=main', { cluster: true })).toEqual(['native.redis.cluster'])
    expect(issuesOf('redis://a,b?sentinel=main')).toEqual([])
  })

  it('refuses options that are no object', () => {
    expect(issuesOf('redis://localhost', 'fast')).toEqual(['native.redis'])
  })
})

const settingsOf = (redis: unknown, cluster = false) =>
  parseRedisTopicOptions({ name: 'orders', native: { redis } }, { cluster, requestTimeout: 10_000 })

describe('parseRedisTopicOptions', () => {
  it('reads durations and names what is wrong', () => {
    expect(settingsOf({ deduplication: '5m' })).toEqual({ mode: 'stream', deduplication: 300_000 })
    expect(() => settingsOf({ mode: 'queue' })).toThrow('native.redis.mode')
  })

  it('takes durability for one topic, and refuses it in a cluster', () => {
    const durability = { replicas: 1 }
    expect(settingsOf({ durability }).durability).toEqual({ replicas: 1, appendOnly: false, timeout: 2000 })
    expect(() => settingsOf({ durability }, true)).toThrow('native.redis.durability')
  })
})
