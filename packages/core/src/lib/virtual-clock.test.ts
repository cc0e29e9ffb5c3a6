import { expect, test } from 'vitest'
import { virtualClock } from './virtual-clock.ts'

test('time stands still until it is moved, by any duration', async () => {
  const clock = virtualClock(1000)
  expect(clock.now()).toBe(1000)
  await clock.advance('1.5s')
  await clock.advance(500)
  expect(clock.now()).toBe(3000)
})

test('setting the wall clock moves no timer and no monotonic reading', async () => {
  const clock = virtualClock(5000)
  const ran: number[] = []
  clock.after(100, () => ran.push(clock.monotonic()))
  clock.setBy(-3_600_000)
  expect(clock.now()).toBe(5000 - 3_600_000)
  await clock.advance(99)
  expect(ran).toEqual([])
  clock.setBy(7_200_000)
  await clock.advance(1)
  expect(ran).toEqual([100])
  expect(clock.now()).toBe(5100 + 3_600_000)
})

test('it starts at a fixed date', () => {
  expect(new Date(virtualClock().now()).toISOString()).toBe('2026-01-01T00:00:00.000Z')
})

test('timers run in the order they fall due, each at its own time', async () => {
  const clock = virtualClock(0)
  const ran: [string, number][] = []
  const note = (name: string) => () => ran.push([name, clock.now()])
  clock.after(30, note('late'))
  clock.after(10, note('early'))
  clock.after(10, note('early too'))
  clock.after(31, note('not yet'))
  await clock.advance(30)
  expect(ran).toEqual([
    ['early', 10],
    ['early too', 10],
    ['late', 30],
  ])
})

test('a timer that was cancelled does not run, nor one twice', async () => {
  const clock = virtualClock(0)
  let calls = 0
  const cancel = clock.after(10, () => {
    calls += 1
  })
  cancel()
  clock.after(10, () => {
    calls += 1
  })
  await clock.advance(100)
  await clock.advance(100)
  expect(calls).toBe(1)
})

test('what a timer sets up on the way runs in the same move, if it falls due', async () => {
  const clock = virtualClock(0)
  const ticks: number[] = []
  const tick = () => {
    ticks.push(clock.now())
    clock.after(10, tick)
  }
  clock.after(10, tick)
  await clock.advance(35)
  expect(ticks).toEqual([10, 20, 30])
})

test('promises settle between timers, so that an awaited loop keeps up', async () => {
  const clock = virtualClock(0)
  const wait = (delayMs: number) => new Promise<void>((resolve) => clock.after(delayMs, resolve))
  const seen: number[] = []
  const loop = async () => {
    for (let turn = 0; turn < 3; turn += 1) {
      await wait(100)
      await new Promise((resolve) => setImmediate(resolve))
      seen.push(clock.now())
    }
  }
  void loop()
  await clock.advance('1h')
  expect(seen).toEqual([100, 200, 300])
})

test('a negative delay is none', async () => {
  const clock = virtualClock(0)
  let ran = false
  clock.after(-5, () => {
    ran = true
  })
  await clock.advance(0)
  expect(ran).toBe(true)
})

test('of ten thousand timers those run that were not cancelled', async () => {
  const clock = virtualClock(0)
  let calls = 0
  for (let n = 0; n < 10_000; n += 1) {
    const cancel = clock.after(1000 + (n % 10), () => {
      calls += 1
    })
    if (n % 10 !== 0) cancel()
  }
  await clock.advance('1h')
  expect(calls).toBe(1000)
})

test('a timer that another of its moment cancels does not run', async () => {
  const clock = virtualClock(0)
  let calls = 0
  const cancels: (() => void)[] = []
  clock.after(10, () => {
    for (const cancel of cancels) cancel()
  })
  cancels.push(
    clock.after(10, () => {
      calls += 1
    }),
  )
  await clock.advance(10)
  expect(calls).toBe(0)
})
