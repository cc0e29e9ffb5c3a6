import { expect, test } from 'vitest'
import { checkKeyOrder } from './key-order.ts'

const message = (key: string, n: number) => ({ key, data: { n } })
const sent = [message('a', 1), message('b', 1), message('a', 2)]

function delivery(key: string, n: number, startedAt: number, outcome: 'resolved' | 'thrown' = 'resolved') {
  return { message: message(key, n), startedAt, endedAt: startedAt + 5, outcome }
}

test('keys may overlap each other', () => {
  const deliveries = [delivery('a', 1, 0), delivery('b', 1, 1), delivery('a', 2, 10)]
  expect(checkKeyOrder(deliveries, sent)).toEqual({ violations: [], redeliveries: 0 })
})

test('a failed message may come again before the next', () => {
  const deliveries = [
    delivery('a', 1, 0, 'thrown'),
    delivery('a', 1, 10),
    delivery('a', 2, 20),
    delivery('b', 1, 0),
  ]
  expect(checkKeyOrder(deliveries, sent)).toEqual({ violations: [], redeliveries: 0 })
})

test('a message that overtakes a failed one is a violation', () => {
  const deliveries = [
    delivery('a', 1, 0, 'thrown'),
    delivery('a', 2, 10),
    delivery('a', 1, 20),
    delivery('b', 1, 0),
  ]
  expect(checkKeyOrder(deliveries, sent).violations).toEqual(['a: number 2 came before 1 was handled'])
})

test('two of one key at the same time are a violation', () => {
  const deliveries = [delivery('a', 1, 0), delivery('a', 2, 3), delivery('b', 1, 0)]
  expect(checkKeyOrder(deliveries, sent).violations).toEqual([
    'a: number 2 began while the one before it was running',
  ])
})

test('redeliveries of handled messages are counted, missing ones are violations', () => {
  const deliveries = [delivery('a', 1, 0), delivery('a', 1, 10), delivery('a', 2, 20)]
  expect(checkKeyOrder(deliveries, sent)).toEqual({
    violations: ['b: 1 were never handled'],
    redeliveries: 1,
  })
})
