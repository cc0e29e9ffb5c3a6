import { describe, expect, it } from 'vitest'
import { fromErrorReply, needsNewConnection, toRedisError } from './errors.ts'

class ReplyError extends Error {
  override readonly name = 'ReplyError'
}

describe('errors', () => {
  it('of the server are told apart by their first word', () => {
    const coded = (reply: string) => {
      const { code, retryable, fate } = fromErrorReply(reply, 'It failed')
      return [code, retryable, fate]
    }
    expect(coded('WRONGPASS invalid username-password pair')).toEqual(['access-denied', false, 'not-sent'])
    expect(coded("OOM command not allowed when used memory > 'maxmemory'.")).toEqual([
      'rejected',
      true,
      'not-sent',
    ])
    expect(coded('LOADING Redis is loading the dataset in memory')).toEqual([
      'disconnected',
      true,
      'not-sent',
    ])
    expect(coded("READONLY You can't write against a read only replica.")).toEqual([
      'disconnected',
      true,
      'not-sent',
    ])
    expect(coded('NOGROUP No such key')).toEqual(['topology-missing', true, 'not-sent'])
    expect(coded('WRONGTYPE Operation against a key')).toEqual(['topology-mismatch', false, 'not-sent'])
    expect(coded('ERR something else')).toEqual(['failed', false, 'not-sent'])
  })

  it('of a connection leave the fate of what was written unknown', () => {
    const lost = toRedisError(new Error('Connection is closed.'), 'XADD', new Error('read ECONNRESET'))
    expect(lost).toMatchObject({ code: 'disconnected', retryable: true, fate: 'unknown' })
    expect(lost.message).toBe('XADD: Connection is closed. (read ECONNRESET)')
    const unwritten = toRedisError(
      new Error("Stream isn't writeable and enableOfflineQueue options is false"),
      'XADD',
    )
    expect(unwritten).toMatchObject({ code: 'disconnected', fate: 'not-sent' })
  })

  it('of a refused connection are those of the server that refused it', () => {
    const error = toRedisError(
      new Error('Connection is closed.'),
      'Connecting',
      new ReplyError('NOAUTH Authentication required.'),
    )
    expect(error).toMatchObject({ code: 'access-denied', retryable: false })
  })

  it('say in a sentence that a server is too old for script flags', () => {
    const reply = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'"
    expect(fromErrorReply(reply, 'SCRIPT LOAD failed')).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('use Redis 7 or later, or Valkey'),
    })
  })

  it('say when another connection is needed', () => {
    expect(needsNewConnection(new ReplyError('READONLY You cannot'))).toBe(true)
    expect(needsNewConnection(new ReplyError('OOM full'))).toBe(false)
  })
})
