import { describe, expect, test, vi } from 'vitest'
import { stubAdapter, stubDriver } from '../driver/stub-driver.fixture.ts'
import type { Driver } from '../driver.ts'
import { ConfigurationError, type Issue, MessagingError } from '../lib/errors.ts'
import { settle, virtualClock } from '../lib/virtual-clock.ts'
import { defineTopic } from '../messages/topic.ts'
import type { Bus } from './bus.ts'
import { connect } from './connect.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const ledger = defineTopic('ledger', { ordered: true })

async function caught(promise: Promise<unknown>): Promise<MessagingError> {
  try {
    await promise
  } catch (error) {
    if (MessagingError.is(error)) return error
    throw error
  }
  throw new Error('it did not reject')
}

async function issuesOf(promise: Promise<unknown>): Promise<readonly Issue[]> {
  const error = await caught(promise)
  expect(error).toBeInstanceOf(ConfigurationError)
  return error instanceof ConfigurationError ? error.issues : []
}

describe('options', () => {
  test('that are wrong are all listed with their paths, the parts of the URL among them', async () => {
    const wrong = {
      url: 'amqp://host:99999',
      adapter: {},
      native: 5,
      provision: 'always',
      requires: ['order'],
      topics: ['orders'],
      timeout: 'long',
      signal: {},
      clock: {},
      uri: 'amqp://localhost',
    }
    // @ts-expect-error: what a caller without types can do
    const issues = await issuesOf(connect(wrong))
    expect(issues.map(({ path }) => path).sort()).toEqual([
      '',
      'adapter',
      'clock',
      'native',
      'provision',
      'requires.0',
      'signal',
      'timeout',
      'topics.0',
      'url',
    ])
    expect(issues.find(({ path }) => path === 'url')?.message).toMatch(
      /"host:99999" is not host or host:port/,
    )
  })

  test.each([undefined, '', 5])('that name %j as URL say what a URL looks like', async (url) => {
    // @ts-expect-error: what an environment variable that is not set does
    const issues = await issuesOf(connect({ url }))
    expect(issues).toMatchObject([{ path: 'url', message: expect.stringMatching(/'amqp:\/\/localhost'/) }])
  })

  test('of the memory driver are checked under their path', async () => {
    const issues = await issuesOf(
      connect({ url: 'memory:', native: { memory: { retention: -1, retain: 1 } } }),
    )
    expect(issues.map(({ path }) => path)).toEqual(['native.memory.retention', 'native.memory'])
  })
})

describe('the adapter', () => {
  test('of a scheme that nobody knows: the error lists those that are known, and the way to pass another', async () => {
    const error = await caught(connect({ url: 'nats://localhost' }))
    expect(error.code).toBe('adapter-missing')
    expect(error.message).toMatch(/"nats:" URLs. Known are memory: amqp: .*connect\(\{ url, adapter \}\)/)
  })

  test('of a third party is used as it is given', async () => {
    const adapter = stubAdapter(() => stubDriver())
    const bus = await connect({ url: 'stub:', adapter, native: { stub: { a: 1 }, other: { b: 2 } } })
    expect(bus.driver).toBe('stub')
    expect(adapter.contexts).toMatchObject([
      { native: { a: 1 }, instance: expect.stringMatching(/^[\w-]+$/) },
    ])
    await bus.close()
  })

  test('that does not serve the URL’s scheme is refused', async () => {
    const issues = await issuesOf(
      connect({ url: 'amqp://localhost', adapter: stubAdapter(() => stubDriver()) }),
    )
    expect(issues).toEqual([{ path: 'url', message: 'the stub adapter serves stub:, not amqp:' }])
  })
})

describe('a broker that is not there', () => {
  const away = () =>
    Promise.reject(new MessagingError('connection-failed', 'ECONNREFUSED', { retryable: true }))

  test('is tried until it is', async () => {
    const clock = virtualClock()
    const connecting = vi
      .fn(() => Promise.resolve(stubDriver()))
      .mockImplementationOnce(away)
      .mockImplementationOnce(away)
    const bus = connect({ url: 'stub:', adapter: stubAdapter(connecting), clock })
    await clock.advance('5s')
    await (await bus).close()
    expect(connecting).toHaveBeenCalledTimes(3)
  })

  test('fails within the timeout, with the address and the last reason', async () => {
    const clock = virtualClock()
    const connecting = caught(
      connect({ url: 'stub://user:secret@a:1,b/x', adapter: stubAdapter(away), clock, timeout: '3s' }),
    )
    await clock.advance('3s')
    const error = await connecting
    expect(error).toMatchObject({
      code: 'connection-failed',
      retryable: true,
      cause: { message: 'ECONNREFUSED' },
    })
    expect(error.message).toBe('No connection to stub at a:1, b within 3000 ms: ECONNREFUSED')
  })

  test('fails within the timeout too when it never answers; what comes too late is closed', async () => {
    const clock = virtualClock()
    const close = vi.fn(() => Promise.reject(new Error('already gone')))
    let answer: (driver: Driver) => void = () => {}
    const open = () =>
      new Promise<Driver>((resolve) => {
        answer = resolve
      })
    const connecting = caught(connect({ url: 'stub:', adapter: stubAdapter(open), clock, timeout: '3s' }))
    await clock.advance('3s')
    expect((await connecting).message).toBe('No connection to stub within 3000 ms: it did not answer')
    answer(stubDriver({ close }))
    await settle()
    expect(close).toHaveBeenCalledOnce()
  })

  test('is waited for as long as it takes, if asked to', async () => {
    const clock = virtualClock()
    let isAway = true
    const open = () => (isAway ? away() : Promise.resolve(stubDriver()))
    const connecting = connect({ url: 'stub:', adapter: stubAdapter(open), clock, timeout: 'forever' })
    await clock.advance('1h')
    isAway = false
    await clock.advance('5s')
    await (await connecting).close()
  })

  test('is not tried again when it refuses us', async () => {
    const refuse = vi.fn(() => Promise.reject(new MessagingError('access-denied', 'wrong password')))
    expect(await caught(connect({ url: 'stub:', adapter: stubAdapter(refuse) }))).toMatchObject({
      code: 'access-denied',
      message: 'wrong password',
    })
    expect(refuse).toHaveBeenCalledOnce()
  })

  test('is given up when the signal fires', async () => {
    const controller = new AbortController()
    const clock = virtualClock()
    const connecting = caught(
      connect({
        url: 'stub:',
        adapter: stubAdapter(away),
        clock,
        timeout: 'forever',
        signal: controller.signal,
      }),
    )
    await clock.advance('1m')
    controller.abort(new Error('shutting down'))
    expect(await connecting).toMatchObject({ code: 'aborted', cause: { message: 'shutting down' } })
    expect(await caught(connect({ url: 'memory:', signal: AbortSignal.abort() }))).toMatchObject({
      code: 'aborted',
    })
  })
})

describe('what is needed of the broker', () => {
  test('is checked at once: a missing feature is named with its driver and what to do instead', async () => {
    const close = vi.fn(async () => {})
    const open = async () => stubDriver({ capabilities: { seek: false }, close })
    const error = await caught(
      connect({ url: 'stub:', adapter: stubAdapter(open), requires: ['delay', 'seek'] }),
    )
    expect(error.code).toBe('unsupported')
    expect(error.message).toMatch(/feature "seek", which the stub driver does not have. Instead: /)
    expect(close).toHaveBeenCalledOnce()
  })

  test('includes order, for the topics that are given', async () => {
    const open = async () => stubDriver({ capabilities: { ordered: false } })
    const error = await caught(connect({ url: 'stub:', adapter: stubAdapter(open), topics: [ledger] }))
    expect(error.message).toMatch(/ordered topic "ledger" needs the feature "ordered"/)
  })
})

describe('provisioning', () => {
  test('makes the topics that are given, with their groups', async () => {
    const bus = await connect({ url: 'memory:', topics: [orders] })
    const { broker } = bus.native('memory')
    expect([...(broker.topics.get('orders')?.groups.keys() ?? [])]).toEqual(['billing'])
    await bus.close()
  })

  test('that only verifies names all that is missing, and makes nothing', async () => {
    const error = await caught(connect({ url: 'memory:', topics: [orders, ledger], provision: 'verify' }))
    expect(error.code).toBe('topology-missing')
    expect(error.message).toMatch(/topic orders, group billing of topic orders, topic ledger/)
    expect(error.message).toMatch(/provision: 'create'/)
  })

  test('that is not wanted does not look', async () => {
    const apply = vi.fn()
    const bus = await connect({
      url: 'stub:',
      adapter: stubAdapter(async () => stubDriver({ apply })),
      topics: [orders],
      provision: 'none',
    })
    expect(apply).not.toHaveBeenCalled()
    await bus.close()
  })

  test('is tried again within the timeout when the connection is lost meanwhile', async () => {
    const clock = virtualClock()
    const apply = vi
      .fn(async () => ({ created: [], missing: [] }))
      .mockRejectedValueOnce(new MessagingError('disconnected', 'connection reset', { retryable: true }))
    const open = async () => stubDriver({ apply })
    const connecting = connect({ url: 'stub:', adapter: stubAdapter(open), clock, topics: [orders] })
    await clock.advance('5s')
    await (await connecting).close()
    expect(apply).toHaveBeenCalledTimes(2)
  })

  test('is part of the time that connecting may take, and ends with the signal', async () => {
    const clock = virtualClock()
    const close = vi.fn(async () => {})
    const open = async () => stubDriver({ apply: () => new Promise(() => {}), close })
    const options = { url: 'stub:', adapter: stubAdapter(open), clock, topics: [orders] }
    const late = caught(connect({ ...options, timeout: '3s' }))
    await clock.advance('3s')
    expect(await late).toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/topics .* within 3000 ms/),
    })
    const controller = new AbortController()
    const ended = caught(connect({ ...options, signal: controller.signal }))
    await settle()
    controller.abort()
    expect((await ended).code).toBe('aborted')
    await settle()
    expect(close).toHaveBeenCalledTimes(2)
  })
})

describe('memory', () => {
  test('without a name is a broker of one’s own; with one it is shared until its last bus is closed', async () => {
    const brokerOf = (bus: Bus) => bus.native('memory').broker
    const [first, second, named, same, host] = await Promise.all(
      ['memory:', 'memory:', 'memory:shop', 'memory:shop', 'memory://shop'].map((url) => connect({ url })),
    )
    if (!first || !second || !named || !same || !host) throw new Error('not connected')
    expect(brokerOf(first)).not.toBe(brokerOf(second))
    expect(brokerOf(named)).toBe(brokerOf(same))
    expect(brokerOf(named)).toBe(brokerOf(host))
    await Promise.all([first.close(), second.close(), named.close(), host.close()])
    const third = await connect({ url: 'memory:shop' })
    expect(brokerOf(third)).toBe(brokerOf(same))
    const old = brokerOf(same)
    await Promise.all([third.close(), same.close()])
    const anew = await connect({ url: 'memory:shop' })
    expect(brokerOf(anew)).not.toBe(old)
    await anew.close()
  })
})

describe('the driver contract', () => {
  test.each([
    [0, /written for version 0 of the driver contract.*Update the adapter/],
    [2, /written for version 2 of the driver contract.*Update @waybill\/core/],
    [undefined, /does not say which driver contract it was written for.*Update the adapter/],
  ])('of version %s is refused by the adapter’s name', async (contractVersion, message) => {
    const open = vi.fn(() => stubDriver())
    const adapter = { ...stubAdapter(open), contractVersion }
    // @ts-expect-error: an adapter from before there were versions
    const error = await caught(connect({ url: 'stub:', adapter }))
    expect(error).toMatchObject({ code: 'adapter-mismatch', message: expect.stringMatching(message) })
    expect(error.message).toMatch(/^The stub adapter/)
    expect(open).not.toHaveBeenCalled()
  })
})
