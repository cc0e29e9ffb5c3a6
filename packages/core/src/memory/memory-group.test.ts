import { describe, expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { type Member, type MemoryDelivery, MemoryGroup } from './memory-group.ts'
import type { StoredMessage } from './stored-message.ts'

const message = (name: string, parts: Partial<StoredMessage> = {}): StoredMessage => ({
  body: new TextEncoder().encode(name),
  contentType: undefined,
  headers: {},
  key: undefined,
  time: 0,
  ...parts,
})

const names = (deliveries: readonly Pick<MemoryDelivery, 'body'>[]) =>
  deliveries.map(({ body }) => new TextDecoder().decode(body))

function member(): Member & { readonly lost: MemoryDelivery[]; woken: number } {
  const lost: MemoryDelivery[] = []
  const self = {
    lost,
    woken: 0,
    wake: () => {
      self.woken += 1
    },
    lose: (deliveries: readonly MemoryDelivery[]) => lost.push(...deliveries),
  }
  return self
}

function setUp({ ordered = false } = {}) {
  const clock = virtualClock()
  const group = new MemoryGroup(clock, ordered)
  const [first, second] = [member(), member()]
  group.join(first)
  group.join(second)
  const add = (...all: string[]) => {
    for (const name of all) group.add(message(name))
  }
  return { clock, group, first, second, add }
}

test('messages are handed out in the order they came, each to one member', () => {
  const { group, first, second, add } = setUp()
  add('a', 'b', 'c')
  expect(names(group.take(first, 2))).toEqual(['a', 'b'])
  expect(names(group.take(second, 2))).toEqual(['c'])
  expect([group.waiting, group.inFlight]).toEqual([0, 3])
})

test('of those that wait, higher priority comes first; equals in order', () => {
  const { group, first } = setUp()
  const add = (name: string, priority?: number) =>
    group.add(message(name, { headers: priority === undefined ? {} : { 'waybill-priority': `${priority}` } }))
  add('a')
  add('b', 5)
  add('c', 9)
  add('d', 5)
  add('e')
  expect(names(group.take(first, 9))).toEqual(['c', 'b', 'd', 'a', 'e'])
})

test('what is given back is handed out again in its old place, and counted', () => {
  const { group, first, second, add } = setUp()
  add('a', 'b', 'c', 'd')
  const taken = group.take(first, 3)
  group.giveBack(taken.slice(0, 2).reverse())
  const again = group.take(second, 9)
  expect(names(again)).toEqual(['a', 'b', 'd'])
  expect(again.map(({ deliveries }) => deliveries)).toEqual([2, 2, 1])
})

test('what a member that leaves had in hand is handed to the others', () => {
  const { group, first, second, add } = setUp()
  add('a', 'b')
  group.take(first, 1)
  group.leave(first)
  expect(names(group.take(second, 9))).toEqual(['a', 'b'])
})

test('what was removed is gone, and can be removed once', () => {
  const { group, first, add } = setUp()
  add('a')
  const [delivery] = group.take(first, 1)
  if (delivery === undefined) throw new Error('nothing taken')
  expect(group.remove(delivery)).toBe(true)
  expect(group.remove(delivery)).toBe(false)
  group.giveBack([delivery])
  expect([group.waiting, group.inFlight]).toEqual([0, 0])
})

test('a delayed message waits for its time, and goes with the group', async () => {
  const { clock, group, first } = setUp()
  group.add(message('late', { dueAt: clock.monotonic() + 1000 }))
  group.add(message('never', { dueAt: clock.monotonic() + 2000 }))
  expect([group.waiting, group.delayed]).toEqual([0, 2])
  await clock.advance(999)
  expect(group.take(first, 9)).toEqual([])
  const woken = first.woken
  await clock.advance(1)
  expect(first.woken).toBeGreaterThan(woken)
  expect(names(group.take(first, 9))).toEqual(['late'])
  group.close()
  await clock.advance(1000)
  expect(group.waiting).toBe(0)
})

test('a long backlog is handed out to the last, in order', () => {
  const { group, first } = setUp()
  const all = Array.from({ length: 10_000 }, (_, n) => String(n))
  for (const name of all) group.add(message(name))
  const seen: string[] = []
  for (let taken = group.take(first, 7); taken.length > 0; taken = group.take(first, 7)) {
    seen.push(...names(taken))
    for (const delivery of taken) group.remove(delivery)
  }
  expect(seen).toEqual(all)
})

test('a delayed message can be cancelled by its id', async () => {
  for (const ordered of [false, true]) {
    const { clock, group, first } = setUp({ ordered })
    const later = { key: 'k', dueAt: clock.monotonic() + 1000 }
    group.add(message('a', { ...later, headers: { 'ce-id': 'a' } }))
    group.add(message('b', { ...later, headers: { 'ce-id': 'b' } }))
    expect(group.cancelDelayed('c')).toBe(false)
    expect(group.cancelDelayed('a')).toBe(true)
    await clock.advance(1000)
    expect(names(group.take(first, 9))).toEqual(['b'])
    expect(group.cancelDelayed('b')).toBe(false)
  }
})

test('restarting forgets what waits and what is in hand, whose members are told', () => {
  const { group, first, add } = setUp()
  add('a', 'b', 'c')
  const taken = group.take(first, 2)
  group.restart([message('x'), message('y')])
  expect(first.lost).toEqual(taken)
  expect(names(group.take(first, 9))).toEqual(['x', 'y'])
})

describe('dead letters', () => {
  const headers = { 'waybill-dead-letter-id': 'd-1', 'waybill-attempt': '5', tenant: 'acme' }

  test('are kept by their id, and replayed as if they had never failed', () => {
    const { group, first } = setUp()
    group.bury(message('a'), headers)
    expect([...group.dead.keys()]).toEqual(['d-1'])
    expect(group.replay(['d-1', 'd-2'])).toBe(1)
    expect(group.dead.size).toBe(0)
    const [again] = group.take(first, 9)
    expect(again).toMatchObject({ attempt: 1, deliveries: 1, headers: { tenant: 'acme' } })
    expect(again?.headers).not.toHaveProperty('waybill-dead-letter-id')
  })

  test('keep the key they came with', () => {
    const { group, first } = setUp({ ordered: true })
    group.bury(message('a', { key: 'k' }), headers)
    group.replay(['d-1'])
    expect(group.take(first, 9)).toMatchObject([{ key: 'k' }])
  })
})

describe('on an ordered topic', () => {
  test('a key is with one member at a time, until all of it is settled', () => {
    const { group, first, second } = setUp({ ordered: true })
    for (const [name, key] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
    ] as const) {
      group.add(message(name, { key }))
    }
    const [a1] = group.take(first, 1)
    expect(names(group.take(second, 9))).toEqual(['b1'])
    const woken = second.woken
    if (a1 !== undefined) group.remove(a1)
    expect(second.woken).toBeGreaterThan(woken)
    expect(names(group.take(second, 9))).toEqual(['a2'])
  })

  test('what is given back comes before what follows it in its key', () => {
    const { group, first, second } = setUp({ ordered: true })
    for (const name of ['a1', 'a2']) group.add(message(name, { key: 'a' }))
    const taken = group.take(first, 1)
    group.giveBack(taken)
    expect(names(group.take(second, 9))).toEqual(['a1', 'a2'])
  })

  test('a delayed message holds up what follows it in its key, and nothing else', async () => {
    const { clock, group, first } = setUp({ ordered: true })
    group.add(message('a1', { key: 'a', dueAt: clock.monotonic() + 1000 }))
    group.add(message('a2', { key: 'a' }))
    group.add(message('b1', { key: 'b' }))
    expect([group.waiting, group.delayed]).toEqual([2, 1])
    expect(names(group.take(first, 9))).toEqual(['b1'])
    await clock.advance(1000)
    expect(names(group.take(first, 9))).toEqual(['a1', 'a2'])
    expect([group.waiting, group.delayed]).toEqual([0, 0])
  })

  test('messages without a key go to anybody', () => {
    const { group, first, second } = setUp({ ordered: true })
    group.add(message('x'))
    group.add(message('y'))
    expect(names(group.take(first, 1))).toEqual(['x'])
    expect(names(group.take(second, 1))).toEqual(['y'])
  })
})

test('only a lease that ran out counts as a crash, on an ordered topic for the first of a key', () => {
  const { clock } = setUp()
  const [plain, ordered] = [new MemoryGroup(clock, false), new MemoryGroup(clock, true)]
  const one = member()
  const crashesAfter = (group: MemoryGroup, giveBack: (taken: MemoryDelivery[]) => void) => {
    giveBack(group.take(one, 10))
    const taken = group.take(one, 10)
    group.giveBack(taken)
    return taken.map(({ crashes }) => crashes)
  }
  for (const group of [plain, ordered]) {
    group.join(one)
    for (const name of ['a', 'b']) group.add(message(name, { key: 'k' }))
    expect(crashesAfter(group, (taken) => group.giveBack(taken))).toEqual([0, 0])
  }
  expect(crashesAfter(plain, (taken) => plain.expire(taken))).toEqual([1, 1])
  expect(crashesAfter(ordered, (taken) => ordered.expire(taken))).toEqual([1, 0])
})
