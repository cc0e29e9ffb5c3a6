import assert from 'node:assert/strict'
import { exponential, fixed, PermanentError, RetryAfter } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { type CaseContext, clockToleranceMs } from '../case/case-context.ts'
import type { RecordedDelivery } from '../case/recorder.ts'
import { numberOf } from '../fixtures/numbered.ts'

/** Between the end of each attempt and the start of the next. */
function gapsOf(deliveries: readonly RecordedDelivery[]): number[] {
  return deliveries
    .slice(1)
    .map(({ startedAt }, index) => startedAt - (deliveries[index]?.endedAt ?? Number.NaN))
}

function assertGap(context: CaseContext, gapMs: number | undefined, expectedMs: number): void {
  assert.ok(gapMs !== undefined, 'there was no further attempt')
  const rounded = Math.round(gapMs)
  assert.ok(gapMs >= expectedMs - clockToleranceMs, `after ${rounded} ms, earlier than ${expectedMs} ms`)
  const latestMs = expectedMs + context.latenessMs
  assert.ok(
    gapMs <= latestMs,
    `after ${rounded} ms, later than ${latestMs} ms for a backoff of ${expectedMs} ms`,
  )
}

const fail = () => {
  throw new Error('every attempt fails')
}

export const retries: readonly Case[] = [
  {
    number: 34,
    title: 'A handler that always fails is called exactly `attempts` times',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder, { retry: { attempts: 3, backoff: fixed(context.pace(50)) } }, fail)
      const sent = await stage.sendOne()
      await context.exactly(recorder, [sent, sent, sent], { quietMs: context.pace(50) + context.latenessMs })
      assert.deepEqual(
        recorder.deliveries.map(({ attempt }) => attempt),
        [1, 2, 3],
      )
      await context.eventually(
        'it is with the dead letters',
        async () => (await stage.deadLetters()).length === 1,
      )
    },
  },
  {
    number: 35,
    part: 'a',
    title: 'Attempts go on counting across a restart of the consumer',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { attempts: 4, backoff: fixed(context.pace(400)) }
      const leaving = await context.bus()
      const first = await stage.consume(recorder, { retry, bus: leaving }, fail)
      await stage.sendOne()
      await context.eventually(
        'the second attempt has failed',
        () => recorder.deliveries[1]?.outcome === 'thrown',
      )
      await first.stop()
      await leaving.close()
      await stage.consume(recorder, { retry }, fail)
      await context.eventually(
        'the last attempt has failed',
        () => recorder.deliveries[3]?.outcome === 'thrown',
      )
      await context.quiet()
      assert.deepEqual(
        recorder.deliveries.map(({ attempt }) => attempt),
        [1, 2, 3, 4],
      )
    },
  },
  {
    number: 35,
    part: 'b',
    title: 'Attempts go on counting across a restart of the broker',
    needs: ['restart'],
    alone: true,
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { attempts: 3, backoff: fixed(context.pace(1000)) }
      await stage.consume(recorder, { retry }, fail)
      const sent = await stage.sendOne()
      const waitingForRetry = async () => {
        if (recorder.deliveries[0]?.outcome !== 'thrown') return false
        const { delayed = 1 } = await stage.bus.group(stage.topic, stage.group).stats()
        return delayed === 1
      }
      await context.eventually('it waits for its second attempt', waitingForRetry)
      await context.broker.restart()
      // What was in hand when the broker went may be delivered again; its attempt must not start anew.
      await context.eventually(
        'the last attempt has failed',
        () => recorder.deliveries.some(({ attempt, outcome }) => attempt === 3 && outcome === 'thrown'),
        context.pace(60_000),
      )
      await context.quiet()
      assert.ok(recorder.deliveries.length <= 4, `${recorder.deliveries.length} calls for 3 attempts`)
      assert.equal(recorder.of(sent).filter(({ attempt }) => attempt === 3).length, 1)
    },
  },
  {
    number: 36,
    title:
      'The gaps between attempts follow the backoff up to its cap: never early, late by the stated granularity',
    async run(context) {
      await context.feelPulse()
      const stage = await context.stage()
      const recorder = context.recorder()
      const [initial, max] = [context.pace(100), context.pace(300)]
      const backoff = exponential({ initial, max, factor: 2, jitter: 0 })
      await stage.consume(recorder, { retry: { attempts: 5, backoff } }, fail)
      await stage.sendOne()
      await context.eventually(
        'the last attempt has failed',
        () => recorder.deliveries[4]?.outcome === 'thrown',
      )
      const expected = [initial, initial * 2, max, max]
      for (const [index, gap] of gapsOf(recorder.deliveries).entries()) {
        assertGap(context, gap, expected[index] ?? Number.NaN)
      }
    },
  },
  {
    number: 37,
    title:
      'A PermanentError, or one that the policy does not retry, ends in the dead letters after one attempt',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const isRetryable = (error: unknown) => !(error instanceof TypeError)
      await stage.consume(
        recorder,
        { retry: { backoff: fixed(context.pace(50)), isRetryable } },
        (message) => {
          if (numberOf(message) === 1) throw new PermanentError('hopeless')
          if (numberOf(message) === 2) throw new TypeError('not to be retried')
        },
      )
      const sent = await stage.send(3)
      await context.exactly(recorder, sent, { quietMs: context.pace(50) + context.latenessMs })
      await context.eventually('both are dead letters', async () => (await stage.deadLetters()).length === 2)
      const reasons = (await stage.deadLetters()).map(({ reason, message }) => [message?.id, reason])
      const [permanent, unretryable] = sent
      assert.equal(new Map(reasons.map(([id, reason]) => [id, reason])).get(permanent?.id), 'permanent')
      assert.equal(new Map(reasons.map(([id, reason]) => [id, reason])).get(unretryable?.id), 'not-retryable')
    },
  },
  {
    number: 38,
    title: 'A message that waits for its retry does not delay others, even one at a time',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const backoffMs = context.pace(1500)
      const retry = { backoff: fixed(backoffMs) }
      await stage.consume(recorder, { retry, concurrency: 1, prefetch: 1 }, (message, { attempt }) => {
        if (numberOf(message) === 1 && attempt === 1) throw new Error('the first message fails once')
      })
      const failing = await stage.sendOne()
      await context.eventually('it has failed', () => recorder.of(failing)[0]?.outcome === 'thrown')
      // Few, so that a busy machine does not take as long for them as the retry waits.
      const others = await stage.send(5)
      await context.exactly(recorder, [failing, failing, ...others])
      const [first, ...later] = recorder.deliveries
      assert.equal(later.pop()?.id, failing.id, 'others came after the retry')
      const last = (later.at(-1)?.startedAt ?? 0) - (first?.startedAt ?? 0)
      assert.ok(last < backoffMs, `others waited for the retry: the last came after ${Math.round(last)} ms`)
    },
  },
  {
    number: 39,
    title: 'On an ordered topic a message that waits for its retry holds back its own key and no other',
    requires: ['ordered'],
    async run(context) {
      const stage = await context.stage({ topic: { ordered: true, groups: [context.unique('group')] } })
      const recorder = context.recorder()
      const backoffMs = context.pace(1500)
      const retry = { backoff: fixed(backoffMs) }
      await stage.consume(recorder, { retry, concurrency: 2 }, (message, { attempt }) => {
        if (numberOf(message) === 1 && attempt === 1) throw new Error('the first message fails once')
      })
      const held = await stage.sendBatch(3, {}, { key: 'held' })
      const free = await stage.sendBatch(5, {}, { key: 'free' })
      const [head, ...behind] = held
      assert.ok(head)
      await context.exactly(recorder, [head, head, ...behind, ...free])
      assert.deepEqual(
        recorder.deliveries.filter(({ message }) => message.key === 'held').map(({ id }) => id),
        [head, head, ...behind].map(({ id }) => id),
      )
      const [failed, retried] = recorder.of(head)
      const lastFree = recorder.deliveries.findLast(({ message }) => message.key === 'free')
      assert.ok(failed && retried && lastFree)
      assert.ok(lastFree.startedAt < retried.startedAt, 'another key came after the retry')
      const afterMs = Math.round(lastFree.startedAt - failed.startedAt)
      assert.ok(afterMs < backoffMs, `another key waited for the retry: it came after ${afterMs} ms`)
    },
  },
  {
    number: 40,
    title: 'A retry survives a SIGKILL of its consumer in the middle of the backoff',
    needs: ['processes'],
    timeoutMs: 90_000,
    async run(context) {
      const stage = await context.stage()
      const backoffMs = context.pace(2000)
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { attempts: 3, backoffMs },
        behaviour: { kind: 'throw' },
      })
      await context.eventually('the child is ready', () => child.of('ready').length === 1)
      // The attempt cannot have failed before it was sent; when we hear of the failure says nothing.
      const sentAt = performance.now()
      const sent = await stage.sendOne()
      await context.eventually('the child has scheduled the retry', () => child.of('retried').length === 1)
      await child.kill()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const withinMs = backoffMs + context.capabilities.redeliveryMs + context.pace(15_000)
      const retries = () => recorder.of(sent).filter(({ attempt }) => attempt === 2)
      await context.eventually('the retry comes', () => retries().length > 0, withinMs)
      // Where acks are not answered, that of the first attempt may have died with its process, and the attempt comes again.
      await context.exactly(recorder, [sent], { duplicateBudget: 1 })
      const [retry, ...others] = retries()
      assert.deepEqual(others, [], 'the retry came more than once')
      assert.ok(retry && retry.startedAt - sentAt >= backoffMs - clockToleranceMs, 'the retry did not wait')
    },
  },
  {
    number: 41,
    title:
      'A synchronous throw, a rejection and a thrown value that is no Error are all retried, then recorded',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const failures: Readonly<Record<number, () => unknown>> = {
        1: () => {
          throw new Error('thrown')
        },
        2: () => Promise.reject(new Error('rejected')),
        3: () => {
          throw 'only text'
        },
        4: () => Promise.reject(undefined),
      }
      const consumer = stage.bus
        .consumer(stage.group, { retry: { attempts: 2, backoff: fixed(context.pace(50)) } })
        .on(stage.message, (message, handling) => {
          // The recorder's own handler is asynchronous; this one throws at once.
          void recorder.handler()(message, handling)
          return failures[message.data.n]?.()
        })
      await consumer.start()
      const sent = await stage.send(4)
      await context.exactly(recorder, [...sent, ...sent], { quietMs: context.pace(50) + context.latenessMs })
      await context.eventually('all are dead letters', async () => (await stage.deadLetters()).length === 4)
      const errors = new Map((await stage.deadLetters()).map(({ message, error }) => [message?.id, error]))
      for (const [index, text] of ['thrown', 'rejected', 'only text'].entries()) {
        assert.equal(errors.get(sent[index]?.id ?? '')?.message, text)
      }
      assert.ok(
        (errors.get(sent[3]?.id ?? '')?.name ?? '') !== '',
        'a rejection with undefined left no error record',
      )
    },
  },
  {
    number: 42,
    title: 'RetryAfter wins over the backoff of the policy, shorter or longer',
    async run(context) {
      await context.feelPulse()
      for (const { backoffMs, askedMs } of [
        { backoffMs: context.pace(60_000), askedMs: context.pace(100) },
        { backoffMs: context.pace(10), askedMs: context.pace(600) },
      ]) {
        const stage = await context.stage()
        const recorder = context.recorder()
        await stage.consume(recorder, { retry: { backoff: fixed(backoffMs) } }, (_, { attempt }) => {
          if (attempt === 1) throw new RetryAfter(askedMs)
        })
        const sent = await stage.sendOne()
        await context.exactly(recorder, [sent, sent])
        assertGap(context, gapsOf(recorder.deliveries)[0], askedMs)
      }
    },
  },
  {
    number: 43,
    title: 'A retry comes back to the group that failed and to no other',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({
        topic: { groups: [context.unique('failing'), context.unique('content')] },
      })
      const [failing, content] = stage.topic.groups.map(({ name }) => ({
        name,
        recorder: context.recorder(),
      }))
      assert.ok(failing && content)
      const retry = { attempts: 3, backoff: fixed(context.pace(50)) }
      await stage.consume(failing.recorder, { retry, group: failing.name }, (_, { attempt }) => {
        if (attempt < 3) throw new Error('fails twice')
      })
      await stage.consume(content.recorder, { retry, group: content.name })
      const sent = await stage.send(5)
      await context.exactly(failing.recorder, [...sent, ...sent, ...sent])
      await context.exactly(content.recorder, sent)
    },
  },
]
