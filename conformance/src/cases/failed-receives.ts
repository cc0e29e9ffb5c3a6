import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { Adapter } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import { Latch } from '../case/latch.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** An adapter whose receives fail while `isFailing` says so; `failures` counts them. */
function failingReceives(adapter: Adapter, isFailing: () => boolean) {
  const counted = { failures: 0 }
  const failing = wrapAdapter(adapter, {
    async receive(max, signal, forward) {
      if (!isFailing()) return forward(max, signal)
      counted.failures += 1
      throw new MessagingError('disconnected', 'the connection was reset by the case', { retryable: true })
    },
  })
  return { adapter: failing, counted }
}

export const failedReceives: readonly Case[] = [
  {
    number: 97,
    part: 'a',
    title: 'A receive that fails loses nothing, and costs no second run where deliveries outlive it',
    timeoutMs: 120_000,
    async run(context) {
      let left = 0
      const { adapter, counted } = failingReceives(context.harness.adapter, () => {
        if (left === 0) return false
        left -= 1
        return true
      })
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      // A member that lost them could still know that it has handled them.
      const lost: unknown[] = []
      stage.bus.on('lost', ({ message }) => lost.push(message?.id))
      await stage.consume(recorder, { concurrency: 8, prefetch: 16 }, () => gate.passed())
      const first = await stage.send(8)
      await context.eventually('all slots are taken', () => recorder.inFlight === 8)
      left = 1
      // Wakes the receive that waits, so that the next one fails.
      const second = await stage.send(8)
      await context.eventually('a receive has failed', () => counted.failures === 1)
      await context.quiet()
      gate.open()
      const keeps = context.capabilities.keepsDeliveries
      await context.exactly(recorder, [...first, ...second], {
        duplicateBudget: keeps ? 0 : first.length + second.length,
        withinMs: context.capabilities.redeliveryMs + context.pace(45_000),
      })
      if (keeps) assert.deepEqual(lost, [], 'what was in hand is kept')
    },
  },
  {
    number: 107,
    part: 'd',
    title: 'While receiving fails, health() and an event say so, and both end with it',
    timeoutMs: 120_000,
    async run(context) {
      let isFailing = false
      const { adapter, counted } = failingReceives(context.harness.adapter, () => isFailing)
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      const failures: string[] = []
      stage.bus.on('failure', ({ error }) => failures.push(error.message))
      const consumer = await stage.consume(recorder)
      const first = await stage.send(3)
      await context.exactly(recorder, first)
      isFailing = true
      // Each wakes a receive that waits already.
      const second = await stage.send(3)
      await context.eventually('receives fail', () => counted.failures > 0)
      await context.eventually('health() says so', async () => {
        const { status } = await stage.bus.health()
        return status === 'degraded' && consumer.health()[0]?.error?.code === 'disconnected'
      })
      assert.ok(failures.some((message) => message.includes('reset by the case')))
      isFailing = false
      // One receive that brings something is proof enough.
      const third = await stage.send(3)
      await context.exactly(recorder, [...first, ...second, ...third], {
        duplicateBudget: context.capabilities.keepsDeliveries ? 0 : second.length,
        withinMs: context.pace(45_000),
      })
      await context.eventually('health() is well', async () => (await stage.bus.health()).status === 'up')
    },
  },
]
