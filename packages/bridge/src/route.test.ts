import { expect, test } from 'vitest'
import { routeOf, routeText } from './route.ts'

test('a route grows by the broker a message is taken from, whatever its name', () => {
  const names = ['kafka:one:9092,two:9092', 'rédis 100%']
  const first = routeText([], names[0] ?? '')
  const second = routeText(routeOf({ 'waybill-bridged': first }), names[1] ?? '')
  expect(routeOf({ 'waybill-bridged': second })).toEqual(names)
  expect(second).toMatch(/^[\x21-\x7e]*$/)
})

test('a message that no bridge brought has none, and what no bridge wrote is taken as it is', () => {
  expect(routeOf({})).toEqual([])
  expect(routeOf({ 'waybill-bridged': '' })).toEqual([])
  expect(routeOf({ 'waybill-bridged': '100%' })).toEqual(['100%'])
})
