import { expect, test } from 'vitest'
import { RepeatedTexts } from './repeated-texts.ts'

test('every text is read as it is, however often and after whichever others', () => {
  const texts = new RepeatedTexts()
  const all = ['', 'a', 'ce_type', 'ключ', '🏝', 'v'.repeat(35), 'v'.repeat(36)]
  for (let index = 0; index < 2000; index += 1) all.push(`name-${index}`)
  for (const text of [...all, ...all.reverse(), ...all]) expect(texts.text(Buffer.from(text))).toBe(text)
})

test('a part of a buffer is read, and what the buffer holds later does not matter', () => {
  const texts = new RepeatedTexts()
  const buffer = Buffer.from('one two')
  expect(texts.text(buffer, 4, 7)).toBe('two')
  buffer.write('six', 4)
  expect(texts.text(Buffer.from('two'))).toBe('two')
  expect(texts.text(buffer, 4, 7)).toBe('six')
})

test('bytes are those of the part, short or long, and stay as they are when the buffer changes', () => {
  const texts = new RepeatedTexts()
  const buffer = Buffer.from(`ab${'c'.repeat(100)}`)
  const short = texts.bytes(buffer, 1, 3)
  expect(short.toString()).toBe('bc')
  expect(texts.bytes(buffer, 1, 102).toString()).toBe(`b${'c'.repeat(100)}`)
  buffer.fill('x')
  expect(short.toString()).toBe('bc')
})
