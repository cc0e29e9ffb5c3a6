import { expect, test, vi } from 'vitest'
import { ConfigurationError } from '../lib/errors.ts'
import type { VirtualClock } from '../lib/virtual-clock.ts'
import { virtualClock } from '../lib/virtual-clock.ts'
import { deduplicate } from './deduplicate.ts'
import { handling } from './handling.fixture.ts'
import { SeenInMemory } from './seen-in-memory.ts'

const usual = (clock: VirtualClock) => deduplicate({ clock })

test('a message that was handled is dropped, until its window has passed', async () => {
  await using billing = await handling(usual, () => {})
  await billing.send(1, { id: 'm' })
  await billing.settled()
  await billing.send(1, { id: 'm' })
  await billing.settled()
  expect(billing.heard).toEqual(['handled m', 'skipped m: order.placed m was handled before'])
  await billing.clock.advance('10m')
  await billing.send(1, { id: 'm' })
  await billing.settled()
  expect(billing.heard.at(-1)).toBe('handled m')
})

test('one that failed is not, and its duplicate takes its place', async () => {
  let calls = 0
  const gate = Promise.withResolvers<void>()
  await using billing = await handling(usual, async () => {
    calls += 1
    if (calls > 1) return
    await gate.promise
    throw new Error('no funds')
  })
  await billing.send(1, { id: 'm' })
  await billing.send(1, { id: 'm' })
  await billing.settled()
  expect(calls).toBe(1)
  gate.resolve()
  await billing.settled()
  expect(calls).toBe(2)
  expect(billing.heard.toSorted()).toEqual(['handled m', 'retried: no funds'])
  await billing.clock.advance('1s')
  expect(billing.heard.at(-1)).toMatch(/^skipped m/)
})

test('one that is being handled is waited for', async () => {
  let calls = 0
  const gate = Promise.withResolvers<void>()
  await using billing = await handling(usual, () => {
    calls += 1
    return gate.promise
  })
  for (let copy = 0; copy < 3; copy += 1) await billing.send(1, { id: 'm' })
  await billing.settled()
  gate.resolve()
  await billing.settled()
  expect(calls).toBe(1)
  expect(billing.heard.filter((line) => line.startsWith('skipped'))).toHaveLength(2)
})

test('what makes two messages the same can be said', async () => {
  const seen: number[] = []
  await using billing = await handling(
    (clock) => deduplicate({ clock, by: ({ data }) => String(Reflect.get(Object(data), 'n') % 2) }),
    ({ data }) => seen.push(data.n),
  )
  for (const n of [1, 2, 3, 4]) {
    await billing.send(n)
    await billing.settled()
  }
  expect(seen).toEqual([1, 2])
})

test('what says nothing fails the attempt, instead of making all messages one', async () => {
  await using billing = await handling(
    // @ts-expect-error: what a caller without types can do
    (clock) => deduplicate({ clock, by: () => undefined }),
    () => {},
  )
  await billing.send(1)
  await billing.settled()
  expect(billing.heard).toEqual([
    expect.stringMatching(/^retried: deduplicate: "by" of order.placed returned/),
  ])
})

test('a store of its own is asked, and one that fails loses no message', async () => {
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const keys = new Map<string, number>()
  let hasFails = false
  let addFails = false
  const store = {
    has: async (key: string) => {
      if (hasFails) throw new Error('the store is away')
      return keys.has(key)
    },
    add: async (key: string, windowMs: number) => {
      if (addFails) throw new Error('the store is full')
      keys.set(key, windowMs)
    },
  }
  await using billing = await handling(
    (clock) => deduplicate({ clock, store, window: '5m' }),
    () => {},
  )
  await billing.send(1, { id: 'a' })
  await billing.settled()
  expect([...keys]).toEqual([['["billing","orders","order.placed","waybill","a"]', 300_000]])
  hasFails = true
  await billing.send(1, { id: 'b' })
  await billing.settled()
  expect(billing.heard.at(-1)).toBe('retried: the store is away')
  hasFails = false
  addFails = true
  await billing.clock.advance('1s')
  expect(billing.heard.at(-1)).toBe('handled b')
  expect(warnings.mock.calls.map(([text]) => text)).toEqual([
    'A handled message could not be remembered: the store is full',
  ])
  warnings.mockRestore()
})

test('the memory of this process is bounded', () => {
  const clock = virtualClock()
  const seen = new SeenInMemory(clock, 3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) seen.add(key, 1000)
  expect(['a', 'b', 'c', 'd'].map((key) => seen.has(key))).toEqual([true, false, true, true])
  expect(seen.size).toBe(3)
})

test('what has expired is forgotten', async () => {
  const clock = virtualClock()
  const seen = new SeenInMemory(clock, 1000)
  for (let n = 0; n < 500; n += 1) seen.add(String(n), 1000)
  await clock.advance('1s')
  seen.add('new', 1000)
  expect(seen.size).toBe(1)
})

test.each([{ window: 'soon' }, { max: 0 }, { store: {} }, { by: 'id' }, { key: 'id' }, null])(
  'the options %j are refused',
  // @ts-expect-error: what a caller without types can do
  (options) => expect(() => deduplicate(options)).toThrow(ConfigurationError),
)
