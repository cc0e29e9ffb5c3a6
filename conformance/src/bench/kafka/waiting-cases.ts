import assert from 'node:assert/strict'
import type { Kafka } from 'kafkajs'
import type { Case } from '../../case/case.ts'
import { clockToleranceMs } from '../../case/case-context.ts'
import { Latch } from '../../case/latch.ts'
import { alterTopic } from './administration.ts'

/** How messages wait for their time in Kafka's topics. */
export function waitingCases(client: Kafka): readonly Case[] {
  return [
    {
      number: 205,
      title: 'However many messages wait for long, others are delivered at once, and delays are exact',
      requires: ['delay'],
      async run(context) {
        const native = { kafka: { hold: 400, delayTiers: [200, 1000, 60_000], maxHeld: 20 } }
        const stage = await context.stage({ connect: { native } })
        const recorder = context.recorder()
        await stage.consume(recorder)
        await stage.send(200, { delay: '1h' })
        await context.eventually('they wait', async () => {
          const { delayed = 0, waiting } = await stage.bus.group(stage.topic, stage.group).stats()
          return waiting === 0 && delayed >= 200
        })
        const delayMs = context.pace(2000)
        const earliest = performance.now() + delayMs
        const [soon, atOnce] = await Promise.all([stage.send(100, { delay: delayMs }), stage.sendOne()])
        // More at a time than there is room for wait in turns.
        const latest = performance.now() + delayMs + native.kafka.hold
        await context.exactly(recorder, [atOnce, ...soon])
        assert.equal(recorder.ids[0], atOnce.id, 'what was not delayed was held up')
        for (const message of soon) {
          const startedAt = recorder.of(message)[0]?.startedAt ?? Number.NaN
          assert.ok(startedAt >= earliest - clockToleranceMs, `${Math.round(earliest - startedAt)} ms early`)
          assert.ok(startedAt <= latest + context.latenessMs, `${Math.round(startedAt - latest)} ms late`)
        }
      },
    },
    {
      number: 206,
      title: 'What waits for its time and cannot be copied on for a while is neither early nor lost',
      requires: ['delay'],
      async run(context) {
        const lowered = context.harness.lowered?.delay
        assert.ok(lowered)
        const stage = await context.stage({ connect: lowered.options })
        const warned = new Latch()
        stage.bus.on('warning', () => warned.open())
        const recorder = context.recorder()
        await stage.consume(recorder)
        const delay = `${stage.topic.name}..${stage.group}..delay`
        await alterTopic(client, delay, { 'max.message.bytes': '1' })
        const startedAt = performance.now()
        const delayMs = context.pace(2500)
        const sent = await stage.sendOne({ delay: delayMs })
        await context.within('it is told', warned.passed())
        await alterTopic(client, delay, {})
        await context.exactly(recorder, [sent])
        const afterMs = (recorder.deliveries[0]?.startedAt ?? 0) - startedAt
        assert.ok(afterMs >= delayMs - clockToleranceMs, `after ${Math.round(afterMs)} ms, early`)
      },
    },
    {
      number: 230,
      title: 'A group whose delay tiers change keeps every delay, of what waits already and of what comes',
      requires: ['delay'],
      timeoutMs: 90_000,
      async run(context) {
        const tiered = (...delayTiers: number[]) => ({ native: { kafka: { hold: 400, delayTiers } } })
        const stage = await context.stage({ connect: tiered(200, 60_000) })
        const before = await stage.consume(context.recorder())
        const position = stage.bus.group(stage.topic, stage.group)
        // Where a tier of a second will be.
        await stage.send(5, { delay: '1h' })
        await context.eventually('they wait', async () => {
          const { delayed = 0, waiting } = await position.stats()
          return waiting === 0 && delayed >= 5
        })
        await before.stop()
        for (const tiers of [
          [200, 1000, 60_000],
          [100, 200, 500, 2000, 60_000],
          [200, 60_000],
        ]) {
          const bus = await context.bus({ ...tiered(...tiers), topics: [stage.topic] })
          const recorder = context.recorder()
          const consumer = await stage.consume(recorder, { bus })
          const producer = bus.producer({ timeout: context.sendTimeoutMs })
          const delays = [700, 1500, 2500, 4000].map((ms) => context.pace(ms))
          const due = new Map<string, number>()
          for (const delay of delays) {
            const at = performance.now() + delay
            due.set((await producer.send(stage.message, { n: delay }, { delay })).id, at)
          }
          await context.exactly(
            recorder,
            [...due.keys()].map((id) => ({ id })),
          )
          for (const [id, at] of due) {
            const lateMs = (recorder.of({ id })[0]?.startedAt ?? Number.NaN) - at
            assert.ok(lateMs >= -clockToleranceMs, `${Math.round(-lateMs)} ms early`)
            // Sending takes its time, too.
            assert.ok(lateMs <= 400 + context.latenessMs, `${Math.round(lateMs)} ms late`)
          }
          await consumer.stop()
        }
      },
    },
    {
      number: 208,
      title: 'A delayed broadcast reaches every instance when it is due, however late that is',
      requires: ['delay', 'broadcast'],
      async run(context) {
        const lowered = context.harness.lowered?.delay
        assert.ok(lowered)
        const stage = await context.stage({ connect: lowered.options })
        const recorders = [context.recorder(), context.recorder()]
        for (const recorder of recorders) {
          const bus = await context.bus(lowered.options)
          await stage.consume(recorder, { broadcast: true, bus })
        }
        const delayMs = context.pace(1000)
        const startedAt = performance.now()
        const sent = await stage.send(3, { delay: delayMs })
        for (const recorder of recorders) {
          await context.exactly(recorder, sent)
          for (const delivery of recorder.deliveries) {
            assert.ok(delivery.startedAt - startedAt >= delayMs - clockToleranceMs, 'early')
          }
        }
      },
    },
  ]
}
