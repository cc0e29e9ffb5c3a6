import assert from 'node:assert/strict'
import { fixed, type Message, MessagingError } from '@waybill/core'
import type { Outcome } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { checkKeyOrder } from '../case/key-order.ts'
import { Latch } from '../case/latch.ts'
import type { Recorder } from '../case/recorder.ts'
import type { Stage, StageOptions } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { numberInBody, numberOf } from '../fixtures/numbered.ts'

const keys = Array.from({ length: 8 }, (_, index) => `key-${index}`)

function orderedStage(context: CaseContext, options: StageOptions = {}): Promise<Stage> {
  return context.stage({ ...options, topic: { ordered: true, groups: [context.unique('group')] } })
}

/** Numbers 0 to `count` - 1 of each key, interleaved. */
function sendToAllKeys(stage: Stage, count: number): Promise<Message[]> {
  const data = Array.from({ length: count }, (_, n) => keys.map((key) => ({ n, key }))).flat()
  return stage.producer.sendBatch(stage.message, data)
}

const resolved = (recorder: Recorder) =>
  recorder.deliveries.filter(({ outcome }) => outcome === 'resolved').length

async function assertKeyOrder(
  context: CaseContext,
  recorder: Recorder,
  sent: readonly Message[],
  redeliveryBudget = 0,
): Promise<void> {
  const isHandled = (message: Message) => recorder.of(message).some(({ outcome }) => outcome === 'resolved')
  await context.eventually(
    'everything was handled',
    () => sent.every(isHandled),
    context.pace(15_000),
    () => recorder.deliveries.length,
  )
  await context.quiet()
  const { violations, redeliveries } = checkKeyOrder(recorder.deliveries, sent)
  assert.deepEqual(violations.slice(0, 5), [], `${violations.length} violations of the order of a key`)
  assert.ok(redeliveries <= redeliveryBudget, `${redeliveries} redeliveries, ${redeliveryBudget} allowed`)
}

/** Those that cases 96a and 96b release. */
const isHead = (n: number) => n % 4 === 0

/** Pulls all of them, releases those that `isReleased` picks when they come first, and checks the order of the rest. */
async function pullInOrder(
  context: CaseContext,
  stage: Stage,
  count: number,
  isReleased: (n: number) => boolean,
): Promise<void> {
  const sent = await sendToAllKeys(stage, count)
  const pull = context.pull(stage.bus, stage.message, { group: stage.group, prefetch: 12 })
  const released = new Set<string>()
  const acked = new Map<string, number[]>(keys.map((key) => [key, []]))
  for (let left = sent.length; left > 0; ) {
    const delivery = await pull.next()
    const { id, key = '' } = delivery.message
    const n = numberOf(delivery.message)
    if (isReleased(n) && !released.has(id)) {
      released.add(id)
      void delivery.release()
    } else {
      acked.get(key)?.push(n)
      void delivery.ack()
      left -= 1
    }
  }
  await pull.close()
  const inOrder = Array.from({ length: count }, (_, n) => n)
  assert.deepEqual(acked, new Map(keys.map((key) => [key, inOrder])))
}

export const orderFaults: readonly Case[] = [
  {
    number: 96,
    part: 'a',
    title: 'A key keeps its order when its head is released',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      await pullInOrder(context, await orderedStage(context), 12, isHead)
    },
  },
  {
    number: 96,
    part: 'b',
    title: 'A key keeps its order when the release of its head fails at first',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const refused = new Set<string>()
      const refusal: Outcome = {
        ok: false,
        error: new MessagingError('rejected', 'refused by the case', { retryable: true }),
      }
      const adapter = wrapAdapter(context.harness.adapter, {
        async settle(settlements, forward) {
          const isRefused = settlements.map(({ delivery: { body }, verdict }) => {
            const text = new TextDecoder().decode(body)
            if (verdict.kind !== 'release' || !isHead(numberInBody(body)) || refused.has(text)) return false
            refused.add(text)
            return true
          })
          const others = settlements.filter((_, index) => isRefused[index] !== true)
          const outcomes = [...(others.length > 0 ? await forward(others) : [])]
          return isRefused.map((isHere) => (isHere ? refusal : (outcomes.shift() ?? refusal)))
        },
      })
      const stage = await orderedStage(context, { connect: { adapter } })
      await pullInOrder(context, stage, 12, isHead)
      assert.ok(refused.size >= keys.length, `${refused.size} releases were refused`)
    },
  },
  {
    number: 96,
    part: 'c',
    title: 'A key keeps its order when its consumer is paused and resumed while its head runs',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      // Fewer slots than keys: some heads run, others wait.
      const consumer = await stage.consume(recorder, { concurrency: 4, prefetch: 24 }, () => context.work(8))
      const sent = await sendToAllKeys(stage, 24)
      for (let round = 1; round <= 10; round += 1) {
        const before = recorder.deliveries.length
        await context.eventually(
          'some begin',
          () => recorder.inFlight > 0 || resolved(recorder) === sent.length,
        )
        consumer.pause()
        // Half of the time what is paused is all done before it goes on.
        if (round % 2 === 0) await context.eventually('what ran has ended', () => recorder.inFlight === 0)
        consumer.resume()
        await context.eventually(
          'it goes on',
          () => recorder.deliveries.length > before || resolved(recorder) === sent.length,
        )
      }
      await assertKeyOrder(context, recorder, sent)
    },
  },
  {
    number: 96,
    part: 'd',
    title: 'A key keeps its order when the handler of its head overruns maxLease',
    requires: ['ordered'],
    timeoutMs: 180_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const [lease, maxLease] = [context.pace(3000), context.pace(800)]
      let lost = 0
      stage.bus.on('lost', () => {
        lost += 1
      })
      const hung = new Set<string>()
      await stage.consume(
        recorder,
        { lease, maxLease, concurrency: 16, prefetch: 24 },
        async (message, { signal }) => {
          if (numberOf(message) !== 2 || hung.has(message.id)) return
          hung.add(message.id)
          await new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          })
        },
      )
      const sent = await sendToAllKeys(stage, 8)
      await assertKeyOrder(context, recorder, sent)
      assert.ok(lost >= keys.length, `${lost} losses were told of ${keys.length}`)
    },
  },
  {
    number: 96,
    part: 'e',
    title: 'A key keeps its order when a member stops without waiting for its handlers',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const first = await stage.consume(
        recorder,
        { member: 'first', concurrency: 4, prefetch: 32, bus: await context.bus() },
        (message, { signal }) =>
          numberOf(message) < 2
            ? undefined
            : new Promise((_, reject) => {
                signal.addEventListener('abort', () => reject(signal.reason), { once: true })
              }),
      )
      const sent = await sendToAllKeys(stage, 8)
      await context.eventually('its slots are taken', () => recorder.inFlight === 4)
      await first.stop({ timeout: 0 })
      await stage.consume(recorder, { member: 'second', concurrency: 4 }, () => context.work(2))
      await assertKeyOrder(context, recorder, sent)
    },
  },
  {
    number: 96,
    part: 'f',
    title: 'A key keeps its order when members join while its head runs and others wait behind it',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const options = { concurrency: 4, prefetch: 16 }
      const join = async (member: string) =>
        stage.consume(recorder, { ...options, member, bus: await context.bus() }, () => context.work(5))
      await join('first')
      const sent = await sendToAllKeys(stage, 24)
      await context.eventually('some are handled', () => resolved(recorder) >= 16)
      await Promise.all([join('second'), join('third')])
      // What ran while keys changed hands may be repeated.
      await assertKeyOrder(context, recorder, sent, 3 * options.concurrency)
    },
  },
  {
    number: 96,
    part: 'i',
    title: 'A key keeps its order when members join and leave in the middle of a long backlog',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const options = { concurrency: keys.length, prefetch: 50 * keys.length }
      const join = async (member: string) =>
        stage.consume(recorder, { ...options, member, bus: await context.bus() }, () => context.work(100))
      // Far more than the members have in hand.
      const sent = await sendToAllKeys(stage, 100)
      const first = await join('first')
      await Promise.all([join('second'), join('third')])
      const handled = resolved(recorder)
      await context.eventually('some more are handled', () => resolved(recorder) >= handled + 100)
      await first.stop()
      await assertKeyOrder(context, recorder, sent, 3 * options.concurrency)
    },
  },
  {
    number: 96,
    part: 'g',
    title: 'A key keeps its order in batches, though some of a batch fail',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      const stage = await orderedStage(context)
      const recorder = context.recorder()
      const options = { concurrency: 2, retry: { backoff: fixed(context.pace(50)) } }
      const failed = new Set<string>()
      const consumer = stage.bus
        .consumer(stage.group, options)
        .onBatch(stage.message, { size: 5, wait: context.pace(20) }, async (messages, { fail }) => {
          const attempts = messages.map((message) => {
            const failsNow = numberOf(message) % 3 === 0 && !failed.has(message.id)
            if (failsNow) {
              failed.add(message.id)
              fail(message, new Error('fails once'))
            }
            return recorder.handler('only', () => {
              if (failsNow) throw new Error('fails once')
            })(message, { ...contextOf(stage), message })
          })
          await Promise.allSettled(attempts)
        })
      await consumer.start()
      const sent = await sendToAllKeys(stage, 9)
      await assertKeyOrder(context, recorder, sent)
      assert.equal(failed.size, 3 * keys.length)
    },
  },
]

/** What a batch handler is not told, for the recorder. */
function contextOf({ topic, group }: Stage) {
  return {
    topic: topic.name,
    group,
    attempt: 1,
    deliveries: 1,
    mode: 'batch' as const,
    signal: new AbortController().signal,
    idempotencyKey: { group, topic: topic.name, type: '', source: '', id: '' },
  }
}
