import { expect, test, vi } from 'vitest'
import { sleep, systemClock } from './clock.ts'
import { virtualClock } from './virtual-clock.ts'
import { within } from './within.ts'

test('the system clock calls back once, unless it is cancelled', async () => {
  let calls = 0
  const cancelled = systemClock.after(5, () => {
    throw new Error('was cancelled')
  })
  cancelled()
  systemClock.after(5, () => {
    calls += 1
  })
  await vi.waitFor(() => expect(calls).toBe(1))
})

test('the system clock never calls back early by its own reading', async () => {
  const early: number[] = []
  const waits = Array.from({ length: 200 }, async (_, n) => {
    const delayMs = 5 + n / 7
    const due = systemClock.monotonic() + delayMs
    await new Promise<void>((resolve) => systemClock.after(delayMs, resolve))
    const earlyMs = due - systemClock.monotonic()
    if (earlyMs > 0) early.push(earlyMs)
  })
  await Promise.all(waits)
  expect(early).toEqual([])
})

test('the system clock keeps to the timers, the date and the readings it was loaded with', async () => {
  vi.useFakeTimers({ now: 0 })
  try {
    const before = systemClock.monotonic()
    await sleep(systemClock, 5)
    expect(systemClock.monotonic()).toBeGreaterThan(before)
    expect(systemClock.now()).toBeGreaterThan(Date.UTC(2026, 0, 1))
  } finally {
    vi.useRealTimers()
  }
})

test('the system clock waits longer than a timer of Node can', async () => {
  vi.useFakeTimers()
  vi.resetModules()
  try {
    const { systemClock } = await import('./clock.ts')
    const month = 30 * 24 * 3_600_000
    let called = false
    systemClock.after(month, () => {
      called = true
    })
    vi.advanceTimersByTime(month - 1)
    expect(called).toBe(false)
    vi.advanceTimersByTime(1)
    expect(called).toBe(true)
    const cancel = systemClock.after(month, () => {
      throw new Error('was cancelled')
    })
    vi.advanceTimersByTime(month - 1)
    cancel()
    vi.advanceTimersByTime(month)
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
    // Test files share their modules: the next one must not get this copy, whose timers stand still.
    vi.resetModules()
  }
})

test('a sleep ends with its time, leaving no listener on the signal', async () => {
  const clock = virtualClock()
  const { signal } = new AbortController()
  const removed = vi.spyOn(signal, 'removeEventListener')
  let awake = false
  void sleep(clock, 1000, signal).then(() => {
    awake = true
  })
  await clock.advance(999)
  expect(awake).toBe(false)
  await clock.advance(1)
  expect(awake).toBe(true)
  expect(removed).toHaveBeenCalledOnce()
})

test('a sleep ends with the signal, leaving no timer', async () => {
  let cancelled = false
  const clock = { ...virtualClock(), after: () => () => (cancelled = true) }
  const controller = new AbortController()
  const sleeping = sleep(clock, 1000, controller.signal)
  controller.abort()
  await sleeping
  expect(cancelled).toBe(true)
})

test('a sleep under a signal that has fired does not begin', async () => {
  await sleep(virtualClock(), 1000, AbortSignal.abort())
})

test('within tells whether a promise was settled in time, one way or the other', async () => {
  const clock = virtualClock()
  expect(await within(clock, 10, Promise.resolve())).toBe(true)
  expect(await within(clock, 10, Promise.reject(new Error('no')))).toBe(true)
  const late = within(clock, 10, new Promise(() => {}))
  await clock.advance(10)
  expect(await late).toBe(false)
})
