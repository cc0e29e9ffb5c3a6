import { expect, test } from 'vitest'
import { virtualClock } from '../lib/virtual-clock.ts'
import { MemoryGroup } from './memory-group.ts'

const message = (key?: string, dueAt?: number) => ({
  ...{ body: Buffer.from('x'), contentType: undefined, headers: {}, key, time: 0 },
  ...(dueAt !== undefined && { dueAt }),
})
const member = { wake: () => {}, lose: () => {} }

test.each([true, false])('waiting counts from when a message was ready (ordered: %j)', async (ordered) => {
  const clock = virtualClock()
  const group = new MemoryGroup(clock, ordered)
  expect(group.oldestWaitingMs).toBe(0)
  group.add(message('a', clock.monotonic() + 100))
  await clock.advance(50)
  expect(group.oldestWaitingMs).toBe(0)
  await clock.advance(80)
  expect(group.oldestWaitingMs).toBe(30)
  group.add(message(undefined))
  await clock.advance(10)
  group.join(member)
  expect(group.take(member, 1)[0]?.key).toBe('a')
  expect(group.oldestWaitingMs).toBe(10)
  group.take(member, 1)
  expect(group.oldestWaitingMs).toBe(0)
})
