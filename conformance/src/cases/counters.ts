import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { Latch } from '../case/latch.ts'
import type { Stage } from '../case/stage.ts'

/** Far below how often each message goes back. */
const maxDeliveries = 3
const returns = 20

const kinds = [
  { part: 'unordered', ordered: false },
  { part: 'ordered', ordered: true },
] as const

function stageOf(context: CaseContext, ordered: boolean): Promise<Stage> {
  return context.stage({ topic: { ordered, groups: [context.unique('group')] } })
}

/** All of them are handled by a consumer that gives up at the first sign of a crash loop, and none is given up. */
async function assertNoneGivenUp(
  context: CaseContext,
  stage: Stage,
  sent: readonly Message[],
): Promise<void> {
  const recorder = context.recorder()
  await stage.consume(recorder, { maxDeliveries, member: 'last', bus: await context.bus() })
  await context.eventually('all are handled', () => sent.every((message) => recorder.of(message).length > 0))
  assert.deepEqual(
    (await stage.deadLetters()).map(({ reason }) => reason),
    [],
    'a message became a dead letter though no consumer had died',
  )
}

function releases({ part, ordered }: (typeof kinds)[number], letter: string): Case {
  return {
    number: 95,
    part: letter,
    title: `Twenty releases bring a message, and what waits behind it, no nearer to the dead letters (${part})`,
    ...(ordered && { requires: ['ordered'] as const }),
    async run(context) {
      const stage = await stageOf(context, ordered)
      const pull = context.pull(stage.bus, stage.message, { group: stage.group, maxDeliveries, prefetch: 4 })
      const sent = await stage.sendBatch(3)
      for (let release = 0; release < returns; release += 1) await (await pull.next()).release()
      await pull.close()
      await assertNoneGivenUp(context, stage, sent)
    },
  }
}

function pauses({ part, ordered }: (typeof kinds)[number], letter: string): Case {
  return {
    number: 95,
    part: letter,
    title: `Pausing again and again brings nothing nearer to the dead letters (${part})`,
    ...(ordered && { requires: ['ordered'] as const }),
    async run(context) {
      const stage = await stageOf(context, ordered)
      const recorder = context.recorder()
      const gates: Latch[] = []
      context.defer(() => {
        for (const gate of gates) gate.open()
      })
      const options = { maxDeliveries, concurrency: 1, prefetch: 2 * returns }
      const consumer = await stage.consume(recorder, options, () => {
        const gate = new Latch()
        gates.push(gate)
        return gates.length > returns || gate.passed()
      })
      const sent = await stage.sendBatch(returns + 5)
      // Each round handles one message, while the others are handed out and given back.
      for (let round = 1; round <= returns; round += 1) {
        await context.eventually('one is being handled', () => gates.length === round)
        await context.quiet(context.pace(20))
        consumer.pause()
        gates[round - 1]?.open()
        await context.eventually('it is handled', () => recorder.inFlight === 0)
        consumer.resume()
      }
      await context.eventually('all are handled', () => sent.every((each) => recorder.of(each).length > 0))
      assert.equal((await stage.deadLetters()).length, 0)
    },
  }
}

function redeploys({ part, ordered }: (typeof kinds)[number], letter: string): Case {
  return {
    number: 95,
    part: letter,
    title: `Draining, stopping and redeploying bring nothing nearer to the dead letters (${part})`,
    timeoutMs: 120_000,
    ...(ordered && { requires: ['ordered'] as const }),
    async run(context) {
      const stage = await stageOf(context, ordered)
      const sent = await stage.sendBatch(6)
      const never = new Latch()
      context.defer(() => never.open())
      for (let deploy = 0; deploy <= maxDeliveries; deploy += 1) {
        const recorder = context.recorder()
        const bus = await context.bus()
        await stage.consume(recorder, { maxDeliveries, concurrency: 2, bus }, () => never.passed())
        await context.eventually('a handler has begun', () => recorder.inFlight > 0)
        await bus.close({ timeout: 0 })
      }
      await assertNoneGivenUp(context, stage, sent)
    },
  }
}

export const counters: readonly Case[] = [
  ...kinds.map((kind, index) => releases(kind, 'ab'[index] ?? '')),
  ...kinds.map((kind, index) => pauses(kind, 'cd'[index] ?? '')),
  ...kinds.map((kind, index) => redeploys(kind, 'ef'[index] ?? '')),
]
