import { beforeEach, describe, expect, test } from 'vitest'
import { MessagingError } from '../lib/errors.ts'
import { incoming, outgoing } from './body.fixture.ts'
import { type ClaimCheckOptions, claimCheck } from './claim-check.ts'
import type { ClaimStore } from './claim-store.ts'

const kept = new Map<string, Uint8Array>()
const store: ClaimStore = {
  put: async (id, body) => void kept.set(id, body),
  get: async (id) => kept.get(id),
  remove: async (id) => void kept.delete(id),
}
beforeEach(() => kept.clear())

const body = Buffer.alloc(300, 'a')
const make = (options: Partial<ClaimCheckOptions> = {}) => claimCheck({ store, above: 100, ...options })

async function claimed(stage = make(), groups = outgoing.groups) {
  const staged = await stage.apply(body, { ...outgoing, groups })
  if (staged?.note === undefined) throw new Error('expected a claim')
  return { body: staged.body, note: staged.note }
}

const undone = async (note: string, stage = make()) => stage.undo(body, note, incoming)
const done = async (note: string, group: string, stage = make()) => stage.done?.(note, { ...incoming, group })

describe('a claim check', () => {
  test('keeps what is large, and gives it back', async () => {
    const { body: sent, note } = await claimed()
    expect(note).toMatch(/^\d{4}-\d{2}-\d{2}\/[0-9a-f-]{36}$/)
    expect(Buffer.from(sent).toString()).toBe(`claim ${note}`)
    expect([...kept.keys()]).toEqual([note])
    expect(await undone(note)).toEqual(body)
  })

  test('leaves what is small as it is: up to 200 kB if nothing else is said', async () => {
    const usual = claimCheck({ store })
    expect(await make().apply(body.subarray(0, 100), outgoing)).toBeUndefined()
    expect(await usual.apply(Buffer.alloc(204_800), outgoing)).toBeUndefined()
    expect(await usual.apply(Buffer.alloc(204_801), outgoing)).toBeDefined()
  })

  test('says that a body is gone, and why it may be', async () => {
    const { note } = await claimed()
    kept.clear()
    await expect(undone(note)).rejects.toThrow(`its body ${note} is gone from the claim store`)
    const counted = await claimed(make({ remove: 'when-done' }))
    kept.clear()
    await expect(undone(counted.note)).rejects.toThrow(
      'all of its groups (billing, shipping) were done with it',
    )
  })

  test('gives nothing for a note that it did not write, and asks no store', async () => {
    const untouched: ClaimStore = {
      put: () => Promise.reject(new Error('asked')),
      get: () => Promise.reject(new Error('asked')),
      remove: () => Promise.reject(new Error('asked')),
    }
    for (const note of ['', '../../etc/passwd', '2026-11-29/../../x', '__proto__', 'x'.repeat(10_000)]) {
      await expect(undone(note, make({ store: untouched }))).rejects.toThrow(
        'is none that claimCheck() writes',
      )
      await done(note, 'billing', make({ store: untouched }))
    }
  })

  test.each([
    () => Promise.reject(new Error('503')),
    () => {
      throw new Error('503')
    },
  ])('waits for a store that is away', async (failing) => {
    const away: ClaimStore = { put: failing, get: failing, remove: failing }
    const { note } = await claimed()
    const expected = { code: 'failed', retryable: true, fate: 'not-sent' }
    await expect(claimed(make({ store: away }))).rejects.toMatchObject(expected)
    await expect(undone(note, make({ store: away }))).rejects.toMatchObject(expected)
  })

  test('leaves it to a store that knows better', async () => {
    const never = new MessagingError('access-denied', 'No')
    const { note } = await claimed()
    await expect(undone(note, make({ store: { ...store, get: () => Promise.reject(never) } }))).rejects.toBe(
      never,
    )
  })

  test('reads from former stores, and writes to its own', async () => {
    const { note } = await claimed()
    const empty: ClaimStore = { put: async () => {}, get: async () => undefined, remove: async () => {} }
    expect(await undone(note, make({ store: empty, formerStores: [store] }))).toEqual(body)
    await expect(undone(note, make({ store: empty }))).rejects.toThrow('is gone')
  })
})

describe('a body that is removed when done', () => {
  const stage = make({ remove: 'when-done' })

  test('goes with the last of its groups, and nothing is left', async () => {
    const { note } = await claimed(stage)
    expect(note).toMatch(/;billing,shipping$/)
    await done(note, 'billing', stage)
    expect(await undone(note, stage)).toEqual(body)
    await done(note, 'billing', stage)
    expect(await undone(note, stage)).toEqual(body)
    await done(note, 'shipping', stage)
    expect(kept.size).toBe(0)
  })

  test('goes once when all are done at the same moment, in any order', async () => {
    const groups = ['a', 'b', 'c', 'd']
    for (let round = 0; round < 20; round += 1) {
      const { note } = await claimed(stage, groups)
      await Promise.all(groups.map((group) => done(note, group, stage)))
      expect(kept.size).toBe(0)
    }
  })

  test('needs no marks with one group', async () => {
    let puts = 0
    const counting = make({
      store: {
        ...store,
        put: async (id, content) => {
          puts += 1
          await store.put(id, content)
        },
      },
      remove: 'when-done',
    })
    const { note } = await claimed(counting, ['billing'])
    await done(note, 'billing', counting)
    expect([puts, kept.size]).toEqual([1, 0])
  })

  test('stays for groups that are not declared, and without declared ones', async () => {
    const { note } = await claimed(stage)
    await done(note, 'audit', stage)
    await done(note, 'toString', stage)
    expect([...kept.keys()]).toHaveLength(1)
    const open = await claimed(stage, [])
    await done(open.note, 'billing', stage)
    expect(await undone(open.note, stage)).toEqual(body)
  })

  test('also if it is now removed by age alone, or in a former store, because the message tells', async () => {
    const { note } = await claimed(stage, ['billing'])
    const aged: ClaimStore = { put: async () => {}, get: async () => undefined, remove: async () => {} }
    await done(note, 'billing', make({ store: aged, formerStores: [store] }))
    expect(kept.size).toBe(0)
    const byAge = await claimed(make())
    await done(byAge.note, 'billing', stage)
    expect(kept.size).toBe(1)
  })

  test('reports what fails', async () => {
    const { note } = await claimed(stage)
    const away = make({ store: { ...store, put: () => Promise.reject(new Error('503')) } })
    await expect(done(note, 'billing', away)).rejects.toThrow('could not mark the body')
  })
})

test('all wrong options are named', () => {
  const wrong = { store: {}, above: 'much', remove: 'never', formerStores: [1], keep: 1 } as never
  expect(() => claimCheck(wrong)).toThrow(
    /store: [^\n]*\n.*formerStores\.0: .*\n.*above: .*\n.*remove: .*\n.*keep/,
  )
})
