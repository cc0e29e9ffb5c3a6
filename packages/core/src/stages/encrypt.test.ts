import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ConfigurationError, MessagingError } from '../lib/errors.ts'
import { incoming, outgoing } from './body.fixture.ts'
import { encrypt } from './encrypt.ts'
import type { KeyProvider } from './keys.ts'

const november = randomBytes(32)
const december = randomBytes(32)
const stage = encrypt({ keys: { '2026-11': november, '2026-12': december }, use: '2026-11' })
const body = Buffer.from('{"orderId":"o-1","card":"4242"}')

async function sealed(by = stage, content: Uint8Array = body) {
  const staged = await by.apply(content, outgoing)
  if (staged?.note === undefined) throw new Error('expected it to be encrypted')
  return { body: staged.body, note: staged.note }
}

/** As a promise, whether it fails now or later. */
const undone = async (sealedBody: Uint8Array, note = '2026-11', message = incoming, by = stage) =>
  by.undo(sealedBody, note, message)

describe('encrypt', () => {
  test.each([0, 1, 31, 1000, 10_000_000])('carries %d bytes, and shows none of them', async (bytes) => {
    const content = Buffer.alloc(bytes, 'secret')
    const { body: hidden, note } = await sealed(stage, content)
    expect(note).toBe('2026-11')
    expect(Buffer.from(hidden).includes('secret')).toBe(false)
    expect(Buffer.compare((await undone(hidden)) ?? body, content)).toBe(0)
  })

  test('never makes the same twice, and many at once', async () => {
    const all = await Promise.all(Array.from({ length: 500 }, () => sealed()))
    expect(new Set(all.map((each) => Buffer.from(each.body).toString('hex'))).size).toBe(500)
    expect(new Set(all.map((each) => Buffer.from(each.body.subarray(1, 17)).toString('hex'))).size).toBe(500)
    for (const each of all) expect(await undone(each.body)).toEqual(body)
  })

  test('notices a change of any bit', async () => {
    const { body: hidden } = await sealed()
    for (let bit = 0; bit < hidden.byteLength * 8; bit += 1) {
      const flipped = Buffer.from(hidden)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expect(undone(flipped)).rejects.toThrow('changed on its way')
    }
  })

  test('notices whatever is cut off or added', async () => {
    const { body: hidden } = await sealed()
    for (let length = 0; length < hidden.byteLength; length += 1) {
      await expect(undone(hidden.subarray(0, length))).rejects.toThrow('changed on its way')
      await expect(undone(hidden.subarray(hidden.byteLength - length))).rejects.toThrow('changed on its way')
    }
    await expect(undone(Buffer.concat([hidden, Buffer.of(0)]))).rejects.toThrow('changed on its way')
  })

  test.each([
    ['id', { ...incoming, attributes: { id: 'o-2', type: 'order.placed' } }],
    ['type', { ...incoming, attributes: { id: 'o-1', type: 'order.cancelled' } }],
    ['contentType', { ...incoming, contentType: 'text/plain' }],
    ['contentType', { ...incoming, contentType: undefined }],
  ])('notices headers of another message: %s', async (name, message) => {
    const { body: hidden } = await sealed()
    await expect(undone(hidden, '2026-11', message)).rejects.toThrow(
      `Its headers were changed on their way: ${name} is`,
    )
  })

  test('is read where the transport repeats no attributes', async () => {
    expect(await undone((await sealed()).body, '2026-11', { ...incoming, attributes: {} })).toEqual(body)
  })

  test('says what to do about a broken seal', async () => {
    const other = encrypt({ keys: { '2026-11': december }, use: '2026-11' })
    const error: unknown = await undone((await sealed()).body, '2026-11', incoming, other).catch(
      (thrown) => thrown,
    )
    expect(error).toMatchObject({
      message:
        'It was changed on its way, or encrypted with another key than the one called "2026-11" here (its seal is broken). If that key is wrong here, set the right one and replay the dead letter; otherwise do not trust it',
    })
  })

  test('is not read under the id of another key, even one with the same bytes', async () => {
    const twins = encrypt({ keys: { a: november, b: november }, use: 'a' })
    const { body: hidden } = await sealed(twins)
    await expect(undone(hidden, 'b', incoming, twins)).rejects.toThrow('changed on its way')
  })

  test.each(['2026-13', '', '__proto__', 'constructor', '../keys', '2026-11 ', 'ü', 'x'.repeat(5000)])(
    'leaves the key "%s", which it does not have, to others',
    async (note) => expect(await undone((await sealed()).body, note)).toBeUndefined(),
  )

  test('rotates: what was encrypted before is still read', async () => {
    const after = encrypt({ keys: { '2026-11': november, '2026-12': december }, use: '2026-12' })
    const [old, fresh] = [await sealed(), await sealed(after)]
    expect(fresh.note).toBe('2026-12')
    for (const reader of [stage, after]) {
      for (const each of [old, fresh])
        expect(await undone(each.body, each.note, incoming, reader)).toEqual(body)
    }
  })

  test('takes keys as bytes and as text, and keeps a copy', async () => {
    const bytes = Buffer.from(november)
    const forms = [
      bytes,
      new Uint8Array(november),
      november.toString('hex'),
      november.toString('base64'),
      november.toString('base64url'),
    ]
    for (const key of forms) {
      const by = encrypt({ keys: { '2026-11': key }, use: '2026-11' })
      if (key === bytes) bytes.fill(0)
      expect(await undone((await sealed(by)).body)).toEqual(body)
    }
  })

  test.each([
    new Uint8Array(31),
    new Uint8Array(33),
    new Uint8Array(0),
    '',
    'secret',
    'x'.repeat(32),
    'a'.repeat(63),
    `${'a'.repeat(63)}g`,
    5,
    null,
  ])('refuses the key %j without repeating it', (key) => {
    const make = () => encrypt({ keys: { '2026-11': key as string }, use: '2026-11' })
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow('keys.2026-11: expected a key of 32 bytes')
    if (typeof key === 'string' && key.length > 6) expect(make).not.toThrow(key)
  })

  test('names all wrong options', () => {
    expect(() => encrypt({ keys: { a: november }, use: 'b' })).toThrow(
      'use: expected the id of one of the keys',
    )
    expect(() => encrypt({ keys: { a: november }, use: 'toString' })).toThrow('use: ')
    expect(() => encrypt({ keys: {} } as never)).toThrow('use: ')
    expect(() => encrypt({} as never)).toThrow('keys: expected keys by id, or a key provider')
    expect(() => encrypt(undefined as never)).toThrow(ConfigurationError)
    expect(() => encrypt({ keys: { 'a b': november }, use: 'a b' })).toThrow('keys.a b')
    const provider = { current: () => ({ id: 'a', key: november }), find: () => november }
    expect(() => encrypt({ keys: provider, use: 'a' } as never)).toThrow('use')
  })
})

describe('a key provider', () => {
  const asked: string[] = []
  const provider: KeyProvider = {
    current: async () => ({ id: 'kms/2', key: december }),
    find: async (id) => {
      asked.push(id)
      return id === 'kms/2' ? december : undefined
    },
  }
  const by = encrypt({ keys: provider })

  test('gives the keys, later too', async () => {
    const { body: hidden, note } = await sealed(by)
    expect(note).toBe('kms/2')
    expect(await undone(hidden, note, incoming, by)).toEqual(body)
    expect(await undone(hidden, 'kms/3', incoming, by)).toBeUndefined()
  })

  test('is not asked for what it cannot have given', async () => {
    asked.length = 0
    for (const note of ['', 'a b', 'ü', 'a\nb', 'x'.repeat(129)])
      expect(await undone(body, note, incoming, by)).toBeUndefined()
    expect(asked).toEqual([])
  })

  test.each([
    ['that is away', () => Promise.reject(new Error('503'))],
    [
      'that throws',
      () => {
        throw new Error('503')
      },
    ],
    ['with a key of another length', async () => new Uint8Array(16) as never],
  ])('%s leaves messages as they are, to be tried again', async (_what, answer) => {
    const away = encrypt({ keys: { current: async () => ({ id: 'a', key: await answer() }), find: answer } })
    const expected = { retryable: true, code: 'failed' }
    await expect(undone(body, 'a', incoming, away)).rejects.toMatchObject(expected)
    await expect(sealed(away)).rejects.toMatchObject(expected)
  })

  test('that knows better says so itself', async () => {
    const gone = new MessagingError('access-denied', 'The key was destroyed')
    const broken = encrypt({
      keys: { current: () => Promise.reject(gone), find: () => Promise.reject(gone) },
    })
    await expect(undone(body, 'a', incoming, broken)).rejects.toBe(gone)
  })
})
