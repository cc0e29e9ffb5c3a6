import { expect, test } from 'vitest'
import { deliveryOf } from '../wire/delivery.fixture.ts'
import { LeavingPartitions } from './leaving-partitions.ts'

test('goes back as a whole, in the order of the queue, once nothing else is in hand', () => {
  const leaving = new LeavingPartitions()
  const [first, second, third] = [deliveryOf(1, 0), deliveryOf(2, 0), deliveryOf(3, 0)]
  const elsewhere = deliveryOf(4, 1)
  leaving.add(0)
  expect(leaving.keep(elsewhere)).toBe(false)
  expect([third, first].map((each) => leaving.keep(each))).toEqual([true, true])
  expect(leaving.takeComplete([first, second, third, elsewhere])).toEqual(new Map())
  expect(leaving.takeComplete([first, third, elsewhere])).toEqual(new Map([[0, [first, third]]]))
  expect(leaving.takeComplete([first, third, elsewhere])).toEqual(new Map())
  const late = deliveryOf(5, 0)
  expect(leaving.keep(late)).toBe(true)
  expect(leaving.end(0)).toEqual([late])
  expect(leaving.any).toBe(false)
  expect(leaving.keep(late)).toBe(false)
})

test('has nothing to give back of a partition of which everything was settled', () => {
  const leaving = new LeavingPartitions()
  leaving.add(0)
  expect(leaving.takeComplete([deliveryOf(1, 1)])).toEqual(new Map([[0, []]]))
  expect(leaving.end(0)).toEqual([])
  expect(leaving.has(0)).toBe(false)
})
