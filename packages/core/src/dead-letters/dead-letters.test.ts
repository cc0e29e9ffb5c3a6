import { describe, expect, test } from 'vitest'
import { stubDriver } from '../driver/stub-driver.fixture.ts'
import type { StoredDeadLetter } from '../driver.ts'
import { BodyReader } from '../encoding/body-reader.ts'
import { Formats } from '../encoding/formats.ts'
import { virtualClock } from '../lib/virtual-clock.ts'
import { encodeMessage } from '../messages/cloud-events.ts'
import { defineTopic } from '../messages/topic.ts'
import { DeadLetters } from './dead-letters.ts'

const hour = 3_600_000

interface LetterParts {
  readonly type?: string
  readonly messageId?: string
  readonly reason?: string
  readonly error?: readonly [name: string, message: string]
  readonly failedAt?: number
}

function stored(id: string, parts: LetterParts = {}): StoredDeadLetter {
  const { body, contentType } = encodeMessage({
    id: parts.messageId ?? `m-${id}`,
    type: parts.type ?? 'order.placed',
    version: 1,
    timestamp: new Date(0),
    data: {},
    metadata: { source: 'test' },
  })
  const headers: Record<string, string> = { 'waybill-reason': parts.reason ?? 'attempts-exhausted' }
  if (parts.error !== undefined) {
    headers['waybill-error-name'] = parts.error[0]
    headers['waybill-error-message'] = parts.error[1]
  }
  if (parts.failedAt !== undefined) headers['waybill-failed-at'] = new Date(parts.failedAt).toISOString()
  return { id, body, contentType, headers }
}

/** Dead letters over a list in memory, with a note of what the driver was called with. */
function open(letters: StoredDeadLetter[]) {
  const calls: (readonly string[] | 'all')[] = []
  let listed = 0
  const remove = async (ids: readonly string[] | 'all') => {
    calls.push(ids)
    const before = letters.length
    if (ids === 'all') letters.length = 0
    else letters.splice(0, before, ...letters.filter(({ id }) => !ids.includes(id)))
    return before - letters.length
  }
  const clock = virtualClock()
  const store = {
    count: async () => letters.length,
    async *list() {
      listed += 1
      yield* [...letters]
    },
    replay: remove,
    discard: remove,
  }
  const formats = new Formats(undefined, [])
  const reader = new BodyReader(formats, 'orders', 'billing')
  const host = { clock, reader, formats, driver: stubDriver(), open: () => store }
  const deadLetters = new DeadLetters(host, defineTopic('orders'), 'billing')
  const ids = async (filter?: Parameters<DeadLetters['list']>[0]) => {
    const found: string[] = []
    for await (const { id } of deadLetters.list(filter)) found.push(id)
    return found
  }
  return { deadLetters, clock, calls, ids, listings: () => listed, letters }
}

describe('listing', () => {
  const letters = () => [
    stored('a', { type: 'order.placed', error: ['TypeError', 'x is not a function'], failedAt: -2 * hour }),
    stored('b', { type: 'order.paid', reason: 'permanent', failedAt: -hour }),
    stored('c', { type: 'invoice.sent', error: ['Error', 'connect ECONNREFUSED'], failedAt: -60_000 }),
  ]
  const aged = () => {
    const now = virtualClock().now()
    return letters().map((letter) => {
      const failedAt = letter.headers['waybill-failed-at'] ?? ''
      const headers = {
        ...letter.headers,
        'waybill-failed-at': new Date(now + Date.parse(failedAt)).toISOString(),
      }
      return { ...letter, headers }
    })
  }

  test.each([
    [{}, ['a', 'b', 'c']],
    [{ type: 'order.paid' }, ['b']],
    [{ type: 'order.#' }, ['a', 'b']],
    [{ reason: 'permanent' }, ['b']],
    [{ error: 'TypeError' }, ['a']],
    [{ error: 'ECONNREFUSED' }, ['c']],
    [{ messageId: 'm-b' }, ['b']],
    [{ olderThan: '30m' }, ['a', 'b']],
    [{ newerThan: '90m' }, ['b', 'c']],
    [{ olderThan: '30m', newerThan: '90m' }, ['b']],
    [{ type: 'order.#', error: 'ECONNREFUSED' }, []],
  ] as const)('filtered by %j', async (filter, expected) => {
    expect(await open(aged()).ids(filter)).toEqual(expected)
  })

  test('a letter without a time is old, and one that cannot be decoded has no type', async () => {
    const odd = { ...stored('odd'), body: new TextEncoder().encode('not an event'), contentType: undefined }
    const { ids } = open([odd])
    expect(await ids({ olderThan: '1d' })).toEqual(['odd'])
    expect(await ids({ newerThan: '1d' })).toEqual([])
    expect(await ids({ type: '#' })).toEqual([])
  })

  test('refuses a filter with unknown or wrong conditions', async () => {
    // @ts-expect-error: a typo
    await expect(open([]).ids({ reson: 'permanent' })).rejects.toThrow(/Unrecognized key.*reson/)
    // @ts-expect-error: no duration
    await expect(open([]).ids({ olderThan: 'soon' })).rejects.toThrow(/olderThan: expected a duration/)
  })
})

describe('pages', () => {
  test('go through all letters once', async () => {
    const { deadLetters } = open(['a', 'b', 'c', 'd', 'e'].map((id) => stored(id)))
    const seen: string[] = []
    let after: string | undefined
    do {
      const page = await deadLetters.page({ size: 2, after })
      seen.push(...page.letters.map(({ id }) => id))
      after = page.next
    } while (after !== undefined)
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test('hold only what meets the filter, and the last one says so', async () => {
    const { deadLetters } = open([
      stored('a'),
      stored('b', { reason: 'permanent' }),
      stored('c'),
      stored('d'),
      stored('e', { reason: 'permanent' }),
    ])
    const first = await deadLetters.page({ size: 2, reason: 'attempts-exhausted' })
    expect(first.letters.map(({ id }) => id)).toEqual(['a', 'c'])
    const second = await deadLetters.page({ size: 2, reason: 'attempts-exhausted', after: first.next })
    expect(second).toMatchObject({ letters: [{ id: 'd' }], next: undefined })
  })

  test('go on behind letters that were replayed meanwhile', async () => {
    const { deadLetters } = open(
      ['a', 'b', 'c', 'd'].map((id, index) => stored(id, { failedAt: index * 1000 })),
    )
    const first = await deadLetters.page({ size: 2 })
    await deadLetters.replay(first.letters.map(({ id }) => id))
    const second = await deadLetters.page({ size: 2, after: first.next })
    expect(second.letters.map(({ id }) => id)).toEqual(['c', 'd'])
  })

  test('end early once they are full', async () => {
    const { deadLetters, listings } = open(['a', 'b', 'c'].map((id) => stored(id)))
    expect((await deadLetters.page({ size: 1 })).letters).toHaveLength(1)
    expect(listings()).toBe(1)
  })
})

describe('finding', () => {
  test('by the id of the letter, or else of the message', async () => {
    const { deadLetters } = open([
      stored('a', { messageId: 'b' }),
      stored('b', { messageId: 'other' }),
      stored('c', { messageId: 'twice' }),
      stored('d', { messageId: 'twice' }),
    ])
    expect(await deadLetters.find('b')).toMatchObject({ id: 'b' })
    expect(await deadLetters.find('twice')).toMatchObject({ id: 'c' })
    expect(await deadLetters.find('gone')).toBeUndefined()
  })
})

describe.each([
  ['replay', 'replayed'],
  ['discard', 'discarded'],
] as const)('%s', (verb, count) => {
  test('takes one id without listing, and says when it is not there', async () => {
    const { deadLetters, listings, calls } = open([stored('a')])
    expect(await deadLetters[verb]('a')).toEqual({ [count]: 1, missing: [] })
    expect(await deadLetters[verb]('a')).toEqual({ [count]: 0, missing: ['a'] })
    expect(calls).toEqual([['a'], ['a']])
    expect(listings()).toBe(0)
  })

  test('takes several ids, each once, and names those that are not there', async () => {
    const { deadLetters, calls } = open([stored('a'), stored('b'), stored('c')])
    const report = await deadLetters[verb](['b', 'gone', 'a', 'b'])
    expect(report).toEqual({ [count]: 2, missing: ['gone'] })
    expect(calls).toEqual([['a', 'b']])
  })

  test('takes a filter', async () => {
    const { deadLetters, ids } = open([stored('a'), stored('b', { reason: 'permanent' }), stored('c')])
    const report = await deadLetters[verb]({ reason: 'attempts-exhausted' })
    expect(report).toEqual({ [count]: 2, missing: [] })
    expect(await ids()).toEqual(['b'])
  })

  test('takes nothing for nothing', async () => {
    const { deadLetters, calls } = open([stored('a')])
    expect(await deadLetters[verb]([])).toEqual({ [count]: 0, missing: [] })
    expect(calls).toEqual([])
  })

  test('names at most 500 letters in one call', async () => {
    const { deadLetters, calls } = open(Array.from({ length: 1201 }, (_, index) => stored(`l-${index}`)))
    expect(await deadLetters[verb]({ type: '#' })).toEqual({ [count]: 1201, missing: [] })
    expect(calls.map((ids) => ids.length)).toEqual([500, 500, 201])
  })

  // Conditions that came out undefined must not mean all.
  test.each([[{}], [{ messageId: undefined }], [''], [undefined], [['a', 7]], [{ id: 'a' }]])(
    'refuses %j',
    async (which) => {
      const { deadLetters, calls } = open([stored('a')])
      // @ts-expect-error: what a caller without types can do
      await expect(deadLetters[verb](which)).rejects.toMatchObject({ code: 'invalid-options' })
      expect(calls).toEqual([])
    },
  )
})

test('all can be replayed or discarded', async () => {
  const { deadLetters, calls } = open([stored('a'), stored('b')])
  expect(await deadLetters.count()).toBe(2)
  expect(await deadLetters.replayAll()).toBe(2)
  expect(await deadLetters.discardAll()).toBe(0)
  expect(calls).toEqual(['all', 'all'])
})
