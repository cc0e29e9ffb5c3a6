import { describe, expect, it } from 'vitest'
import { RedisDelivery } from '../wire/delivery.ts'
import { noHeaders } from '../wire/entries.ts'
import { Ownership } from './ownership.ts'

const delivery = new RedisDelivery(
  { body: Buffer.alloc(0), contentType: undefined, headers: noHeaders },
  { source: 1, id: '1-1', count: 1 },
  0,
)
const owners = (...partitions: number[]) =>
  new Map(partitions.map((partition) => [partition, `${partition} me`]))

describe('Ownership', () => {
  it('gives up the least busy of what is too much, and keeps what is within the share', () => {
    const ownership = new Ownership()
    ownership.update(owners(0, 1, 2))
    ownership.fitTo(1, ({ partition }) => (partition === 0 ? [delivery] : []))
    expect(ownership.all().map(({ isLeaving }) => isLeaving)).toEqual([false, true, true])
    ownership.fitTo(3, () => [])
    expect(ownership.readable()).toHaveLength(3)
  })

  it('gives up what is for others first, and keeps what others have left to it while the members are the same', () => {
    const ownership = new Ownership()
    ownership.update(owners(0, 1, 2), new Set([0]))
    ownership.fitTo(2, ({ partition }) => (partition === 0 ? [] : [delivery]))
    expect(ownership.all().map(({ isLeaving }) => isLeaving)).toEqual([false, true, false])
    const third = ownership.of(2)
    if (third !== undefined) third.isForOthers = true
    ownership.fitTo(2, () => [])
    expect(ownership.all().map(({ isLeaving }) => isLeaving)).toEqual([false, false, true])
    ownership.fitTo(0, () => [])
    expect(ownership.all().map(({ isLeaving }) => isLeaving)).toEqual([false, true, true])
    ownership.forgetKept()
    ownership.fitTo(0, () => [])
    expect(ownership.readable()).toEqual([])
  })

  it('tells what is gone, and reads what earlier owners left in what is new', () => {
    const ownership = new Ownership()
    ownership.update(owners(0, 1))
    ownership.of(0)?.unread.clear()
    const gone = ownership.update(
      new Map([
        [0, '0 me'],
        [1, '9 me'],
      ]),
    )
    expect(gone.map(({ partition, owner }) => [partition, owner])).toEqual([[1, '1 me']])
    expect(ownership.of(0)?.unread.size).toBe(0)
    expect([...(ownership.of(1)?.unread ?? [])]).toEqual([
      [2, '0'],
      [3, '0'],
    ])
  })

  it('begins with another partition each time', () => {
    const ownership = new Ownership()
    ownership.update(owners(0, 1))
    expect(ownership.readable()[0]?.partition).not.toBe(ownership.readable()[0]?.partition)
  })
})
