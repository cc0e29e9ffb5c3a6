import { describe, expect, test } from 'vitest'
import { Lanes, Slots } from './lanes.ts'

interface Item {
  readonly name: string
  readonly laneKey: string | undefined
}

const item = (name: string, laneKey?: string): Item => ({ name, laneKey })

describe('lanes', () => {
  test('items of one key run one after the other, in order; other keys do not wait', () => {
    const running: string[] = []
    const lanes = new Lanes<Item>(({ name }) => running.push(name))
    const [a1, a2, a3, b1] = [item('a1', 'a'), item('a2', 'a'), item('a3', 'a'), item('b1', 'b')]
    for (const each of [a1, a2, b1, a3]) lanes.add(each)
    expect(running).toEqual(['a1', 'b1'])
    lanes.done(a1)
    expect(running).toEqual(['a1', 'b1', 'a2'])
    lanes.done(b1)
    lanes.done(a2)
    expect(running).toEqual(['a1', 'b1', 'a2', 'a3'])
  })

  test('items without a key wait for nobody', () => {
    const running: string[] = []
    const lanes = new Lanes<Item>(({ name }) => running.push(name))
    lanes.add(item('first'))
    lanes.add(item('second'))
    expect(running).toEqual(['first', 'second'])
  })

  test('a lane that is empty again starts anew', () => {
    const running: string[] = []
    const lanes = new Lanes<Item>(({ name }) => running.push(name))
    const first = item('first', 'k')
    lanes.add(first)
    lanes.done(first)
    lanes.add(item('second', 'k'))
    expect(running).toEqual(['first', 'second'])
  })

  test('the empty text is a key like any other', () => {
    const running: string[] = []
    const lanes = new Lanes<Item>(({ name }) => running.push(name))
    lanes.add(item('first', ''))
    lanes.add(item('second', ''))
    expect(running).toEqual(['first'])
  })
})

describe('slots', () => {
  test('as many as the limit are given at once, the rest in the order they asked', async () => {
    const slots = new Slots(2)
    const admitted: number[] = []
    expect(slots.acquire()).toBeUndefined()
    expect(slots.acquire()).toBeUndefined()
    for (const n of [1, 2]) void slots.acquire()?.then(() => admitted.push(n))
    await Promise.resolve()
    expect(admitted).toEqual([])
    slots.release()
    slots.release()
    await Promise.resolve()
    expect(admitted).toEqual([1, 2])
    expect(slots.used).toBe(2)
  })

  test('a pause admits nobody; resume admits as many as fit', async () => {
    const slots = new Slots(1)
    slots.pause()
    let admitted = 0
    for (const waiting of [slots.acquire(), slots.acquire()]) {
      expect(waiting).toBeInstanceOf(Promise)
      void waiting?.then(() => {
        admitted += 1
      })
    }
    await Promise.resolve()
    expect(admitted).toBe(0)
    slots.resume()
    await Promise.resolve()
    expect(admitted).toBe(1)
    slots.release()
    await Promise.resolve()
    expect(admitted).toBe(2)
  })

  test('a slot released during a pause is kept for after it', async () => {
    const slots = new Slots(1)
    slots.acquire()
    let admitted = false
    void slots.acquire()?.then(() => {
      admitted = true
    })
    slots.pause()
    slots.release()
    await Promise.resolve()
    expect(admitted).toBe(false)
    slots.resume()
    await Promise.resolve()
    expect(admitted).toBe(true)
  })
})
