import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { DelayLine } from './delay-line.ts'

describe('DelayLine', () => {
  it('runs at once without a delay', () => {
    const ran: string[] = []
    new DelayLine().pass(0, () => ran.push('a'))
    expect(ran).toEqual(['a'])
  })

  it('never runs early', async () => {
    const startedAt = performance.now()
    await new Promise<void>((resolve) => new DelayLine().pass(25, resolve))
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(25)
  })

  it('keeps the order when the delay becomes shorter', async () => {
    const ran: string[] = []
    const line = new DelayLine()
    line.pass(30, () => ran.push('slow'))
    await new Promise<void>((resolve) =>
      line.pass(0, () => {
        ran.push('fast')
        resolve()
      }),
    )
    expect(ran).toEqual(['slow', 'fast'])
  })

  it('runs nothing while held, and everything in order after the release', async () => {
    const ran: number[] = []
    const line = new DelayLine()
    line.pass(5, () => ran.push(1))
    line.hold()
    line.pass(0, () => ran.push(2))
    await sleep(20)
    expect(ran).toEqual([])
    line.release()
    await expect.poll(() => ran).toEqual([1, 2])
  })

  it('drops what waits when cleared', async () => {
    const ran: number[] = []
    const line = new DelayLine()
    line.pass(5, () => ran.push(1))
    line.clear()
    await sleep(20)
    expect(ran).toEqual([])
  })
})
