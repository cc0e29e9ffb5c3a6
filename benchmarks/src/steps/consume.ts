import { setTimeout as sleep } from 'node:timers/promises'
import type { Participant } from '../contender.ts'
import { Ledger } from '../ledger.ts'
import { Stopwatch } from '../stopwatch.ts'
import { type Step, withParticipant } from '../work.ts'

const concurrency = 100
const lastAcksMs = 500
const settleWithinMs = 10_000

/**
 * Consumes what the steps before sent. `rate` and `cpu` are those of the last nine tenths, `firstRate` and `lastRate`
 * those of the first and the last tenth. Every message is counted, and the broker must hold none afterwards.
 */
export const consume: Step = (context) =>
  withParticipant(context, async (participant) => {
    const expected = context.earlier.sent ?? 0
    const ledger = new Ledger(expected, context.destination.ordered)
    const tenth = Math.ceil(expected / 10)
    const times: Record<number, number> = {}
    let sinceFirstTenth = new Stopwatch()
    let result = sinceFirstTenth.read()
    const handle: Parameters<Participant['consume']>[0] = async (event) => {
      ledger.record(event)
      const { count } = ledger
      if (count !== 1 && count !== tenth && count !== expected - tenth && count !== expected) return
      times[count] ??= performance.now()
      if (count === tenth) sinceFirstTenth = new Stopwatch()
      if (count === expected) result = sinceFirstTenth.read()
    }
    const stop = await participant.consume(handle, concurrency)
    await ledger.complete()
    // RabbitMQ may lose acks that a closing channel has only just sent: the messages would come again.
    await sleep(lastAcksMs)
    await stop()
    const held = await settled(participant)
    const rateBetween = (from: number, to: number) =>
      ((to - from) * 1000) / ((times[to] ?? Number.NaN) - (times[from] ?? Number.NaN))
    const problems = [ledger.problem(), held > 0 && `${held} still at the broker`].filter(Boolean)
    return {
      readings: {
        sent: expected,
        rate: (expected - tenth) / result.seconds,
        cpu: result.cpuMicroseconds / (expected - tenth),
        firstRate: rateBetween(1, tenth),
        lastRate: rateBetween(expected - tenth, expected),
        duplicates: ledger.duplicates,
        peakMemory: process.resourceUsage().maxRSS / 1024,
      },
      problem: problems.length === 0 ? undefined : problems.join(', '),
    }
  })

/** How many messages the broker holds, once it has had time to take note of the last settlements. */
async function settled(participant: Participant): Promise<number> {
  const until = performance.now() + settleWithinMs
  for (;;) {
    const held = await participant.remaining()
    if (held === 0 || performance.now() > until) return held
    await sleep(100)
  }
}
