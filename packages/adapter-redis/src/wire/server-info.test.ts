import { describe, expect, it } from 'vitest'
import { evictionWarning, parseServerInfo } from './server-info.ts'

const info = (lines: readonly string[]) => parseServerInfo(Buffer.from(lines.join('\r\n')))

describe('parseServerInfo', () => {
  it('tells Redis from Valkey, which also states the Redis version it resembles', () => {
    expect(info(['# Server', 'redis_version:8.0.2', 'role:master'])).toMatchObject({
      ...{ server: 'redis', version: '8.0.2', role: 'master' },
    })
    expect(info(['redis_version:7.2.4', 'valkey_version:8.1.1'])).toMatchObject({
      server: 'valkey',
      version: '8.1.1',
    })
  })
})

describe('evictionWarning', () => {
  it('warns only where memory is limited and something else than noeviction frees it', () => {
    expect(evictionWarning(info(['maxmemory:100', 'maxmemory_policy:allkeys-lru']))).toContain('allkeys-lru')
    expect(evictionWarning(info(['maxmemory:100', 'maxmemory_policy:noeviction']))).toBeUndefined()
    expect(evictionWarning(info(['maxmemory:0', 'maxmemory_policy:allkeys-lru']))).toBeUndefined()
  })
})
