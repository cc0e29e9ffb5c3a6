import assert from 'node:assert/strict'
import type { Message } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { type CaseContext, clockToleranceMs } from '../case/case-context.ts'
import type { Recorder } from '../case/recorder.ts'
import type { Stage } from '../case/stage.ts'

interface Delayed {
  readonly message: Message
  readonly delayMs: number
  /** Before the send began, and after it resolved: the delay began somewhere between. */
  readonly earliest: number
  readonly latest: number
}

async function sendDelayed(stage: Stage, delayMs: number): Promise<Delayed> {
  const earliest = performance.now()
  const message = await stage.sendOne({ delay: delayMs })
  return { message, delayMs, earliest, latest: performance.now() }
}

function assertOnTime(
  context: CaseContext,
  recorder: Recorder,
  { message, delayMs, earliest, latest }: Delayed,
): void {
  const [delivery] = recorder.of(message)
  assert.ok(delivery)
  const atLeastMs = Math.round(delivery.startedAt - earliest)
  const atMostMs = Math.round(delivery.startedAt - latest)
  assert.ok(atLeastMs >= delayMs - clockToleranceMs, `after ${atLeastMs} ms, earlier than ${delayMs} ms`)
  assert.ok(atMostMs <= delayMs + context.latenessMs, `after ${atMostMs} ms, too late for ${delayMs} ms`)
}

export const delays: readonly Case[] = [
  {
    number: 61,
    title: 'A delayed message is delivered within its delay and the stated granularity, never early',
    requires: ['delay'],
    async run(context) {
      await context.feelPulse()
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const delaysMs = [100, 250, 400, 700, 1000].map((ms) => context.pace(ms))
      const sent = await Promise.all(delaysMs.map((delayMs) => sendDelayed(stage, delayMs)))
      await context.exactly(
        recorder,
        sent.map(({ message }) => message),
      )
      for (const delayed of sent) assertOnTime(context, recorder, delayed)
    },
  },
  {
    number: 62,
    title: 'Delayed messages come by the time they are due, not by the time they were sent',
    requires: ['delay'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      // Far enough apart that one's lateness does not reach the next.
      const step = context.pace(200) + context.capabilities.delayGranularityMs
      // Together: the first delay may have to make queues, and a send that waits for them would be due later.
      const [third, first, second, atOnce] = await Promise.all([
        stage.sendOne({ delay: 3 * step }),
        stage.sendOne({ delay: step }),
        stage.sendOne({ delay: 2 * step }),
        stage.sendOne(),
      ])
      const due = [atOnce, first, second, third]
      await context.exactly(recorder, due)
      assert.deepEqual(
        recorder.ids,
        due.map(({ id }) => id),
      )
    },
  },
  {
    number: 63,
    title: 'A delay survives a restart of the broker',
    requires: ['delay'],
    needs: ['restart'],
    alone: true,
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const startedAt = performance.now()
      const delayMs = context.pace(3000)
      const sent = await stage.sendOne({ delay: delayMs })
      await context.broker.restart()
      // What the broker was moving on when it went down may have been moved twice.
      await context.exactly(recorder, [sent], {
        withinMs: delayMs + context.pace(60_000),
        duplicateBudget: 1,
      })
      const afterMs = (recorder.deliveries[0]?.startedAt ?? 0) - startedAt
      assert.ok(
        afterMs >= delayMs - clockToleranceMs,
        `after ${Math.round(afterMs)} ms, earlier than ${delayMs} ms`,
      )
    },
  },
  {
    number: 64,
    title: 'A delay beyond what the broker can do in one step is as exact as any other',
    requires: ['delay'],
    needs: ['loweredDelay'],
    async run(context) {
      await context.feelPulse()
      const lowered = context.harness.lowered?.delay
      assert.ok(lowered)
      const stage = await context.stage({ connect: lowered.options })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sent = await Promise.all(
        [1.5, 3.5].map((times) => sendDelayed(stage, Math.round(times * lowered.limitMs))),
      )
      await context.exactly(
        recorder,
        sent.map(({ message }) => message),
        { withinMs: 4 * lowered.limitMs + context.pace(15_000) },
      )
      for (const delayed of sent) assertOnTime(context, recorder, delayed)
    },
  },
  {
    number: 65,
    title: 'A message that has expired is not delivered, one that has not is',
    async run(context) {
      const stage = await context.stage()
      const expiresIn = context.pace(200)
      const expired = await stage.sendOne({ expiresIn })
      const control = await stage.sendOne({ expiresIn: '1h' })
      const expiredAt = expired.expiresAt?.getTime() ?? Number.NaN
      await context.eventually('the first message has expired', () => Date.now() > expiredAt + 20)
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [control])
      assert.equal(await stage.bus.group(stage.topic, stage.group).deadLetters.count(), 0)
    },
  },
  {
    number: 66,
    title: 'Of a waiting backlog messages of higher priority come first',
    requires: ['priority'],
    async run(context) {
      const stage = await context.stage()
      const sent: Message[] = []
      const urgent = new Set<string>()
      for (let round = 0; round < 20; round += 1) {
        sent.push(await stage.sendOne({ priority: 0 }))
        const message = await stage.sendOne({ priority: 9 })
        sent.push(message)
        urgent.add(message.id)
      }
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 1, prefetch: 1 })
      await context.exactly(recorder, sent)
      // RabbitMQ's quorum queues hand out two urgent messages for each other one, so that those do not starve
      // ("Quorum Queues", "Priorities"): the urgent ones are through after 30 of 40.
      const lastUrgent = recorder.ids.findLastIndex((id) => urgent.has(id))
      assert.ok(lastUrgent < 32, `an urgent message came as number ${lastUrgent + 1} of ${sent.length}`)
    },
  },
]
