import { expect, test } from 'vitest'
import { decode } from '../wire/messages.ts'
import { HeldLetters, type Letter } from './held-letters.ts'

const mebibyte = 1024 * 1024

function letterOf(id: string, size = mebibyte): Letter {
  const received = decode({ MessageId: id, ReceiptHandle: `receipt-${id}`, Body: 'x'.repeat(size) })
  const { body, contentType, headers } = received
  return { id, body, contentType, headers, received }
}

test('only so many bytes stay in memory: the oldest letters give way, and are still known', () => {
  const held = new HeldLetters()
  for (let n = 0; n < 40; n += 1) held.add(letterOf(`${n}`), 30_000)
  expect(held.size).toBe(40)
  const whole = held.values().filter(({ letter }) => letter !== undefined)
  expect(whole.map(({ id }) => id)).toEqual(Array.from({ length: 32 }, (_, n) => `${n + 8}`))
  expect(held.get('0')).toMatchObject({ receipt: 'receipt-0', letter: undefined })
})

test('what is removed makes room', () => {
  const held = new HeldLetters()
  for (let n = 0; n < 32; n += 1) held.add(letterOf(`${n}`), 30_000)
  held.delete('5')
  held.add(letterOf('new'), 30_000)
  expect(held.get('0')?.letter).toBeDefined()
  expect(held.get('5')).toBeUndefined()
})
