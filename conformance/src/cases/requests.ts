import assert from 'node:assert/strict'
import {
  type Bus,
  fixed,
  MessagingError,
  PermanentError,
  RequestError,
  SkipMessage,
  type Topic,
} from '@waybill/core'
import { type Adapter, MessagingError as DriverError } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { Latch } from '../case/latch.ts'
import type { Stage } from '../case/stage.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'
import { asked } from '../fixtures/asked.ts'

/** A bus that replies, one that asks, and what they have in common. */
async function pair(context: CaseContext, adapter?: Adapter) {
  const replyTopic = context.topic()
  const stage = await context.stage({ connect: { replyTopic } })
  const asking = await context.bus({ replyTopic, ...(adapter && { adapter }) })
  return { stage, asking, replyTopic, Asked: asked(stage.topic), timeout: context.sendTimeoutMs }
}

/** Doubles, once `before` has let it. */
async function doubling({ bus, topic, group }: Stage, before: (n: number, attempt: number) => unknown) {
  const consumer = bus
    .consumer(group, { concurrency: 50, retry: { attempts: 2, backoff: fixed('50ms') } })
    .on(asked(topic), async ({ data }, { attempt }) => {
      await before(data.n, attempt)
      return { double: 2 * data.n }
    })
  await consumer.start()
  return consumer
}

async function failureOf(context: CaseContext, request: Promise<unknown>): Promise<MessagingError> {
  const outcome: unknown = await context.within(
    'the request ends',
    request.catch((error: unknown) => error),
    2 * context.sendTimeoutMs,
  )
  assert.ok(MessagingError.is(outcome), `it was to fail, and resolved with ${JSON.stringify(outcome)}`)
  return outcome
}

export const requests: readonly Case[] = [
  {
    number: 240,
    part: 'a',
    title: 'A request gets what its handler returns, from the attempt that succeeds',
    requires: ['broadcast'],
    async run(context) {
      const { stage, asking, Asked, timeout } = await pair(context)
      await doubling(stage, (n, attempt) => {
        if (n === 2 && attempt === 1) throw new Error('not at once')
      })
      assert.deepEqual(await asking.request(Asked, { n: 1 }, { timeout }), { double: 2 })
      assert.deepEqual(await asking.request(Asked, { n: 2 }, { timeout }), { double: 4 })
    },
  },
  {
    number: 240,
    part: 'b',
    title: 'Buses that request at the same time each get their own replies',
    requires: ['broadcast'],
    async run(context) {
      const { stage, asking, replyTopic, Asked, timeout } = await pair(context)
      await doubling(stage, () => {})
      const buses = [asking, await context.bus({ replyTopic }), stage.bus]
      const each = context.load(50)
      const replies = await Promise.all(
        buses.flatMap((bus, side) =>
          Array.from({ length: each }, async (_, index) => {
            const n = 1000 * side + index
            const { double } = await bus.request(Asked, { n }, { timeout })
            return double === 2 * n
          }),
        ),
      )
      assert.equal(replies.length, 3 * each)
      assert.ok(!replies.includes(false), 'each reply is that to its own request')
    },
  },
  {
    number: 241,
    part: 'a',
    title: 'A requester is told when its request is given up, and why',
    requires: ['broadcast'],
    async run(context) {
      const { stage, asking, Asked, timeout } = await pair(context)
      const thrown = [
        () => new Error('no luck'),
        () => new PermanentError('never'),
        () => new SkipMessage('not mine'),
      ]
      await doubling(stage, (n) => {
        throw thrown[n]?.() ?? new Error('there are three')
      })
      const failures: unknown[] = []
      for (const n of thrown.keys()) {
        const error = await failureOf(context, asking.request(Asked, { n }, { timeout }))
        assert.ok(error instanceof RequestError, `${error.code}: ${error.message}`)
        failures.push([error.code, error.reason, error.group, error.error?.message])
      }
      assert.deepEqual(failures, [
        ['request-failed', 'attempts-exhausted', stage.group, 'no luck'],
        ['request-failed', 'permanent', stage.group, 'never'],
        ['request-failed', 'skipped', stage.group, 'not mine'],
      ])
      assert.equal((await stage.deadLetters()).length, 2)
    },
  },
  {
    number: 241,
    part: 'b',
    title: 'A request that nobody replies to times out, and is not begun afterwards',
    requires: ['broadcast'],
    async run(context) {
      const { stage, asking, Asked, timeout } = await pair(context)
      // Makes the inbox, so that the time of the next one is that of its message alone.
      const gate = new Latch()
      context.defer(() => gate.open())
      const seen: number[] = []
      const first = await doubling(stage, (n) => {
        seen.push(n)
      })
      await asking.request(Asked, { n: 1 }, { timeout })
      await first.stop()
      const late = await failureOf(context, asking.request(Asked, { n: 2 }, { timeout: context.pace(2000) }))
      assert.deepEqual([late.code, late.fate], ['timeout', 'unknown'])
      await doubling(stage, (n) => {
        seen.push(n)
      })
      await asking.request(Asked, { n: 3 }, { timeout })
      await context.quiet()
      assert.deepEqual(seen, [1, 3])
    },
  },
  {
    number: 242,
    part: 'a',
    title: 'Nothing of a bus that requested is left behind at the broker',
    requires: ['broadcast'],
    async run(context) {
      const open = new Set<object>()
      const watched = watchBroadcasts(context.harness.adapter, open)
      const { stage, asking, replyTopic, Asked, timeout } = await pair(context, watched)
      await doubling(stage, () => {})
      await Promise.all(
        Array.from({ length: context.load(20) }, (_, n) => asking.request(Asked, { n }, { timeout })),
      )
      assert.equal(open.size, 1, 'one subscription for all requests')
      await asking.close({ timeout: context.pace(10_000) })
      assert.equal(open.size, 0, 'it is closed')
      assert.deepEqual(await groupsOf(stage.bus, replyTopic), [], 'no group is left')
    },
  },
  {
    number: 242,
    part: 'b',
    title: 'A handler may request and reply while its bus closes',
    requires: ['broadcast'],
    needs: ['severalGroups'],
    async run(context) {
      const { stage, asking, Asked, timeout } = await pair(context)
      await doubling(stage, () => {})
      const entered = new Latch()
      const gate = new Latch()
      context.defer(() => gate.open())
      const outer = await context.stage({ bus: stage.bus })
      const Outer = asked(outer.topic)
      await asking
        .consumer(outer.group)
        .on(Outer, async ({ data }) => {
          entered.open()
          await gate.passed()
          const { double } = await asking.request(Asked, data, { timeout })
          return { double: 2 * double }
        })
        .start()
      const reply = stage.bus.request(Outer, { n: 5 }, { timeout })
      await context.within('the handler runs', entered.passed())
      const closed = asking.close({ timeout: context.pace(30_000) })
      gate.open()
      assert.deepEqual(await context.within('the reply comes', reply), { double: 20 })
      await closed
    },
  },
  {
    number: 243,
    title: 'Requests get replies again after their subscription was lost, and none hangs in between',
    requires: ['broadcast'],
    timeoutMs: 120_000,
    async run(context) {
      let isBroken = false
      const breaking = wrapAdapter(context.harness.adapter, {
        async receive(max, signal, forward, request) {
          const received = await forward(max, signal)
          if (!request.broadcast || !isBroken) return received
          isBroken = false
          throw new DriverError('stale', 'the subscription was ended by the case')
        },
      })
      const { stage, asking, Asked, timeout } = await pair(context, breaking)
      await doubling(stage, () => {})
      await asking.request(Asked, { n: 1 }, { timeout })
      isBroken = true
      const outcome = await context.within(
        'the request ends',
        asking.request(Asked, { n: 2 }, { timeout: context.pace(2000) }).catch((error: unknown) => error),
      )
      assert.ok(MessagingError.is(outcome) && outcome.code === 'timeout', JSON.stringify(outcome))
      await context.eventually('requests get replies again', async () => {
        const { double } = await asking.request(Asked, { n: 3 }, { timeout: context.pace(2000) })
        return double === 6
      })
    },
  },
  {
    number: 244,
    title: 'Without broadcast, requests and the streams of bus.on are refused by name',
    async run(context) {
      const adapter = wrapAdapter(context.harness.adapter, {
        capabilities: (own) => ({ ...own, broadcast: false }),
      })
      const stage = await context.stage({ connect: { adapter } })
      const refusals: unknown[] = []
      const error = await failureOf(
        context,
        stage.bus.request(asked(stage.topic), { n: 1 }, { timeout: context.pace(1000) }),
      )
      refusals.push(error)
      try {
        stage.bus.on(stage.message)
      } catch (thrown) {
        refusals.push(thrown)
      }
      assert.equal(refusals.length, 2)
      for (const refusal of refusals) {
        assert.ok(MessagingError.is(refusal) && refusal.code === 'unsupported', String(refusal))
        assert.ok(refusal.message.includes(context.harness.adapter.name), refusal.message)
      }
    },
  },
]

/** The adapter, with its open broadcast subscriptions in `open`. */
function watchBroadcasts(adapter: Adapter, open: Set<object>): Adapter {
  return wrapAdapter(adapter, {
    async subscribe(request, forward) {
      const subscription = await forward(request)
      if (request.broadcast) open.add(request)
      return subscription
    },
    async closeSubscription(forward, request) {
      await forward()
      open.delete(request)
    },
  })
}

/** Where the broker lists them. */
async function groupsOf({ administration }: Bus, topic: Topic): Promise<readonly string[]> {
  try {
    return await administration.listGroups(topic)
  } catch (error) {
    if (MessagingError.is(error) && error.code === 'unsupported') return []
    throw error
  }
}
