import { expect, test } from 'vitest'
import { KeyPlaces } from './key-places.ts'

test('a key has the same place in every process and version', () => {
  const places = new KeyPlaces('waybill.')
  // The hash of ["waybill.","orders","k-1"] is 3419866898 and 791749518.
  const place = { slot: 791_749_518 % 64, lock: '-3758527589334834290' }
  expect(places.of('orders', 'k-1')).toEqual(place)
  expect(places.of('payments', 'k-1')).not.toEqual(place)
  expect(places.of('orders', 'k-1')).toEqual(place)
  expect(new KeyPlaces('other.').of('orders', 'k-1')).not.toEqual(place)
})
