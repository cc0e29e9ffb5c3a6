import { expect, test, vi } from 'vitest'
import { newId } from './new-id.ts'

test('ids are UUIDs of version 7, sorted by the millisecond', async () => {
  const first = newId()
  expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  // Some time later: the wall clock may have been set back meanwhile.
  await vi.waitFor(() => expect(newId() > first).toBe(true), { interval: 1 })
})

test('no two are the same, however many', () => {
  expect(new Set(Array.from({ length: 5000 }, newId)).size).toBe(5000)
})
