import { expect, test } from 'vitest'
import { Change } from './change.ts'

test('everybody who waits goes on once their condition holds', async () => {
  const change = new Change()
  let room = 0
  const one = change.until(() => room >= 1)
  const two = change.until(() => room >= 2)
  room = 1
  change.notify()
  expect(await one).toBe(true)
  room = 2
  change.notify()
  expect(await two).toBe(true)
})

test('a signal ends the wait, before or during it', async () => {
  const change = new Change()
  const over = new AbortController()
  const waiting = change.until(() => false, over.signal)
  over.abort()
  expect(await waiting).toBe(false)
  expect(await change.until(() => false, over.signal)).toBe(false)
  expect(await change.until(() => true, over.signal)).toBe(true)
})

test('nobody misses a change that is made while they are woken', async () => {
  const change = new Change()
  const seen: string[] = []
  void change.next().then(() => {
    seen.push('first')
    return change.next().then(() => seen.push('second'))
  })
  change.notify()
  await Promise.resolve()
  change.notify()
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen).toEqual(['first', 'second'])
})
