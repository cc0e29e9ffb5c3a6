import { expect, test } from 'vitest'
import { eventBytes, makeEvent } from './event.ts'
import { Ledger } from './ledger.ts'

const record = (ledger: Ledger, ...indices: number[]) => {
  for (const index of indices) ledger.record(makeEvent(index))
}

test('every event has the size that is spoken of', () => {
  for (const index of [0, 7, 999_999]) expect(JSON.stringify(makeEvent(index))).toHaveLength(eventBytes)
})

test('all handled is no problem, in whatever order', async () => {
  const ledger = new Ledger(3)
  record(ledger, 2, 0, 1)
  await ledger.complete()
  expect(ledger.problem()).toBeUndefined()
})

test('what is missing is told once nothing has come for a while', async () => {
  const ledger = new Ledger(3)
  record(ledger, 0)
  await ledger.complete(10)
  expect(ledger.problem()).toBe('2 of 3 missing')
})

test('duplicates are counted, but are no problem', () => {
  const ledger = new Ledger(2)
  record(ledger, 0, 0, 1)
  expect(ledger.duplicates).toBe(1)
  expect(ledger.count).toBe(2)
  expect(ledger.problem()).toBeUndefined()
})

test('events of a key out of order are a problem where order is promised', () => {
  const ledger = new Ledger(2002, true)
  record(ledger, ...Array.from({ length: 2000 }, (_, index) => index), 2001, 2000)
  expect(ledger.problem()).toBeUndefined()
  const disordered = new Ledger(1001, true)
  record(disordered, 1000, ...Array.from({ length: 1000 }, (_, index) => index))
  expect(disordered.problem()).toBe('1 out of order')
})

test('events that were never sent are a problem', () => {
  const ledger = new Ledger(1)
  record(ledger, 0, 5)
  expect(ledger.problem()).toBe('1 that were never sent')
})
