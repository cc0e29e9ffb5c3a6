import assert from 'node:assert/strict'
import { type Message, MessagingError, PermanentError } from '@waybill/core'
import type { Adapter, Outcome } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { numberOf } from '../fixtures/numbered.ts'

const refusal: Outcome = {
  ok: false,
  error: new MessagingError('rejected', 'the dead letters are full', { retryable: true }),
}

/** An adapter that writes no dead letters while `isFull` says so. */
function fullDeadLetters(adapter: Adapter, isFull: () => boolean): Adapter {
  return wrapAdapter(adapter, {
    async settle(settlements, forward) {
      const isRefused = settlements.map(({ verdict }) => verdict.kind === 'dead-letter' && isFull())
      const others = settlements.filter((_, index) => isRefused[index] !== true)
      const outcomes = others.length > 0 ? [...(await forward(others))] : []
      return isRefused.map((isHere) => (isHere ? refusal : (outcomes.shift() ?? refusal)))
    },
  })
}

const isHopeless = (message: Message) => numberOf(message) < 100

export const unsettled: readonly Case[] = [
  {
    number: 101,
    part: 'a',
    title: 'While dead letters cannot be written their neighbours go on, however few are held at once',
    timeoutMs: 120_000,
    async run(context) {
      let isFull = true
      const adapter = fullDeadLetters(context.harness.adapter, () => isFull)
      const stage = await context.stage({ connect: { adapter } })
      const recorder = context.recorder()
      const failures: string[] = []
      stage.bus.on('failure', ({ error }) => failures.push(error.message))
      const options = { concurrency: 2, prefetch: 4 }
      const consumer = await stage.consume(recorder, options, (message) => {
        if (isHopeless(message)) throw new PermanentError('hopeless')
      })
      const hopeless = await stage.producer.sendBatch(
        stage.message,
        [1, 2, 3, 4].map((n) => ({ n })),
      )
      await context.eventually('all of them are refused', () => consumer.health()[0]?.unsettled === 4)
      const healthy = await stage.producer.sendBatch(
        stage.message,
        Array.from({ length: 20 }, (_, n) => ({ n: 100 + n })),
      )
      await context.exactly(recorder, [...hopeless, ...healthy])
      assert.equal((await stage.bus.health()).status, 'degraded')
      assert.ok(failures.some((message) => message.includes('the dead letters are full')))
      assert.equal((await stage.deadLetters()).length, 0)
      isFull = false
      await context.eventually(
        'they are dead letters',
        async () => (await stage.deadLetters()).length === hopeless.length,
      )
      await context.eventually('health() is well', async () => (await stage.bus.health()).status === 'up')
      assert.equal(consumer.health()[0]?.unsettled, undefined)
    },
  },
  {
    number: 101,
    part: 'b',
    title: 'While the dead letter of a key cannot be written, other keys go on and it keeps its order',
    requires: ['ordered'],
    timeoutMs: 120_000,
    async run(context) {
      let isFull = true
      const adapter = fullDeadLetters(context.harness.adapter, () => isFull)
      const stage = await context.stage({
        connect: { adapter },
        topic: { ordered: true, groups: [context.unique('group')] },
      })
      const recorder = context.recorder()
      await stage.consume(recorder, { concurrency: 4 }, (message) => {
        if (isHopeless(message)) throw new PermanentError('hopeless')
      })
      const held = await stage.producer.sendBatch(
        stage.message,
        [1, 101, 102].map((n) => ({ n, key: 'held' })),
      )
      const free = await stage.producer.sendBatch(
        stage.message,
        Array.from({ length: 10 }, (_, n) => ({ n: 100 + n, key: `free-${n % 3}` })),
      )
      await context.exactly(recorder, [...held.slice(0, 1), ...free])
      isFull = false
      await context.exactly(recorder, [...held, ...free])
      const ofKey = recorder.deliveries.filter(({ message }) => message.key === 'held')
      assert.deepEqual(
        ofKey.map(({ message }) => numberOf(message)),
        [1, 101, 102],
      )
    },
  },
]
