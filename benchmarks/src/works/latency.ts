import { setTimeout as sleep } from 'node:timers/promises'
import { firstSequence, makeEvent } from '../event.ts'
import { Ledger } from '../ledger.ts'
import { percentile } from '../statistics.ts'
import { type Step, type Work, withParticipant } from '../work.ts'

const perSecond = 200
const warmUpSeconds = 2
const concurrency = 100

/**
 * Sends at a steady rate, whatever comes back, and takes the time from the call of `send` to the call of the handler.
 * Sender and consumer share a process, so that they share a clock.
 */
const measure: Step = (context) =>
  withParticipant(context, async (participant) => {
    const skipped = warmUpSeconds * perSecond
    const total = skipped + Math.max(5, context.scale.seconds) * perSecond
    const sentAt = new Float64Array(total)
    const latencies: number[] = []
    const ledger = new Ledger(total)
    const stop = await participant.consume(async (event) => {
      const index = event.sequence - firstSequence
      if (index >= skipped) latencies.push(performance.now() - (sentAt[index] ?? Number.NaN))
      ledger.record(event)
    }, concurrency)
    const sends: Promise<void>[] = []
    const startedAt = performance.now()
    while (sends.length < total) {
      const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1000) * perSecond))
      while (sends.length < due) {
        const index = sends.length
        sentAt[index] = performance.now()
        sends.push(participant.send(makeEvent(index)))
      }
      await sleep(1)
    }
    await Promise.all(sends)
    await ledger.complete()
    await stop()
    return {
      readings: {
        p50: percentile(latencies, 0.5),
        p99: percentile(latencies, 0.99),
        duplicates: ledger.duplicates,
      },
      problem: ledger.problem(),
    }
  })

export const latency: Work = {
  letter: 'd',
  title: `end-to-end latency at ${perSecond} messages a second`,
  ordered: false,
  metrics: [
    { name: 'p50', title: 'latency p50', unit: 'ms', better: 'lower' },
    { name: 'p99', title: 'latency p99', unit: 'ms', better: 'lower' },
  ],
  steps: [measure],
}
