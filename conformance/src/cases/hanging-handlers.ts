import assert from 'node:assert/strict'
import { fixed, type HandlerContext, type Message } from '@waybill/core'
import type { Subscription } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { Latch } from '../case/latch.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** A handler that hangs until it is told that its outcome will be ignored. */
function untilAborted(_message: Message, { signal }: HandlerContext): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** A subscription that says nothing of what was lost, as where the broker cannot tell: core has to know the time itself. */
function toldNothing(own: Subscription): Subscription {
  own.onLost(() => undefined)
  return {
    leaseMs: own.leaseMs,
    receive: (max, signal) => own.receive(max, signal),
    settle: (settlements, signal) => own.settle(settlements, signal),
    extend: (deliveries, leaseMs) => own.extend(deliveries, leaseMs),
    resize: (prefetch) => own.resize?.(prefetch),
    onLost: () => undefined,
    close: () => own.close(),
  }
}

/** A member whose leases cannot be renewed: what it has in hand is lost, and it acks none of it. */
function unrenewable(part: string, how: string, extend: () => Promise<void>): Case {
  return {
    number: 98,
    part,
    title: `A lease that cannot be renewed, because renewing ${how}, is lost, and its ack is not sent`,
    requires: ['lease'],
    timeoutMs: 120_000,
    async run(context) {
      const acked: string[] = []
      const adapter = wrapAdapter(context.harness.adapter, {
        subscription: toldNothing,
        extend,
        settle(settlements, forward) {
          for (const { verdict } of settlements) acked.push(verdict.kind)
          return forward(settlements)
        },
      })
      const stage = await context.stage()
      const lease = context.pace(900)
      const cutOff = await context.bus({ adapter })
      let lost = 0
      cutOff.on('lost', () => {
        lost += 1
      })
      const [atCutOff, recorder] = [context.recorder(), context.recorder()]
      const gate = new Latch()
      context.defer(() => gate.open())
      let isAborted = false
      // No room for a second: what comes again is for the other member.
      await stage.consume(
        atCutOff,
        { bus: cutOff, lease, concurrency: 1, prefetch: 1 },
        async (_, { signal }) => {
          signal.addEventListener('abort', () => {
            isAborted = true
          })
          await gate.passed()
        },
      )
      const sent = await stage.sendOne()
      await context.eventually('it hangs', () => atCutOff.inFlight === 1)
      await context.eventually('its signal has fired', () => isAborted && lost === 1)
      await stage.consume(recorder, { lease })
      await context.exactly(recorder, [sent], {
        withinMs: lease + context.capabilities.redeliveryMs + context.pace(15_000),
      })
      gate.open()
      await context.eventually('the handler has ended', () => atCutOff.inFlight === 0)
      await context.quiet()
      assert.deepEqual(acked, [], 'a verdict was sent for a delivery that was lost')
    },
  }
}

async function retriesAtTimeout(
  context: CaseContext,
  options: { readonly own?: number; readonly consumer?: number },
): Promise<void> {
  const stage = await context.stage()
  const recorder = context.recorder()
  const retry = { backoff: fixed(context.pace(50)) }
  const consumer = stage.bus.consumer(stage.group, {
    retry,
    concurrency: 1,
    ...(options.consumer !== undefined && { timeout: options.consumer }),
  })
  const reasons: unknown[] = []
  stage.bus.on('retried', ({ error }) => reasons.push(Reflect.get(error, 'code')))
  const [hanging, ignoring] = [new Set<string>(), new Set<string>()]
  const never = new Latch()
  context.defer(() => never.open())
  const handler = recorder.handler('only', (message, handlerContext) => {
    if (handlerContext.attempt > 1) return undefined
    // One hears of its end, the other does not.
    if (hanging.has(message.id)) return untilAborted(message, handlerContext)
    return ignoring.has(message.id) ? never.passed() : undefined
  })
  consumer.on(stage.message, handler, options.own === undefined ? {} : { timeout: options.own })
  const [first, second, third] = await stage.sendBatch(3)
  assert.ok(first !== undefined && second !== undefined && third !== undefined)
  hanging.add(first.id)
  ignoring.add(second.id)
  await consumer.start()
  await context.exactly(recorder, [first, second, third, first, second])
  assert.deepEqual(reasons, ['timeout', 'timeout'])
}

export const hangingHandlers: readonly Case[] = [
  {
    number: 98,
    part: 'a',
    title: 'A handler that hangs fails its attempt at the timeout of its consumer, and others go on',
    run: (context) => retriesAtTimeout(context, { consumer: context.pace(300) }),
  },
  {
    number: 98,
    part: 'b',
    title: 'A handler that hangs fails its attempt at the timeout of its own',
    run: (context) => retriesAtTimeout(context, { own: context.pace(300), consumer: context.pace(60_000) }),
  },
  {
    number: 98,
    part: 'c',
    title: 'When all handlers are stuck, health() and an event say so until one of them moves',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const stuck: number[] = []
      stage.bus.on('stuck', ({ running }) => stuck.push(running))
      const stuckAfter = context.pace(400)
      const consumer = await stage.consume(recorder, { concurrency: 2, stuckAfter }, () => gate.passed())
      const sent = await stage.send(3)
      await context.eventually('both handlers run', () => recorder.inFlight === 2)
      await context.eventually('it is told', () => stuck.length > 0)
      const [health] = consumer.health()
      assert.ok(
        (health?.oldestRunningMs ?? 0) >= stuckAfter,
        `the oldest is ${health?.oldestRunningMs} ms old`,
      )
      assert.equal(health?.error?.code, 'timeout')
      assert.equal((await stage.bus.health()).status, 'degraded')
      gate.open()
      await context.exactly(recorder, sent)
      assert.deepEqual(stuck, [2])
      assert.equal(consumer.health()[0]?.error, undefined)
      assert.equal((await stage.bus.health()).status, 'up')
    },
  },
  {
    number: 98,
    part: 'd',
    title: 'A handler that runs longer than maxLease loses its delivery, and it comes again',
    timeoutMs: 120_000,
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const lease = context.pace(900)
      let lost = 0
      stage.bus.on('lost', () => {
        lost += 1
      })
      const hung = new Set<string>()
      await stage.consume(recorder, { lease, maxLease: lease }, (message, handlerContext) => {
        if (hung.has(message.id)) return undefined
        hung.add(message.id)
        return untilAborted(message, handlerContext)
      })
      const sent = await stage.sendOne()
      await context.exactly(recorder, [sent, sent], {
        withinMs: 3 * lease + context.capabilities.redeliveryMs + context.pace(15_000),
      })
      assert.equal(lost, 1)
      assert.equal(recorder.deliveries[1]?.attempt, 1)
    },
  },
  unrenewable('e', 'fails', () => Promise.reject(new Error('refused by the case'))),
  unrenewable('f', 'hangs', () => new Promise(() => undefined)),
  {
    number: 98,
    part: 'j',
    title: 'What was lost with its lease leaves its room: the member that lost all it had goes on receiving',
    requires: ['lease'],
    timeoutMs: 120_000,
    async run(context) {
      const isCut = new Latch()
      let mayRenew = false
      const adapter = wrapAdapter(context.harness.adapter, {
        subscription: toldNothing,
        extend: (deliveries, leaseMs, forward) =>
          mayRenew ? forward(deliveries, leaseMs) : Promise.reject(new Error('refused by the case')),
      })
      const stage = await context.stage({ connect: { adapter } })
      let lost = 0
      stage.bus.on('lost', () => {
        lost += 1
      })
      const recorder = context.recorder()
      context.defer(() => isCut.open())
      const lease = context.pace(900)
      await stage.consume(recorder, { lease, concurrency: 2, prefetch: 4 }, () => isCut.passed())
      const first = await stage.send(4)
      await context.eventually('all of it is lost', () => lost >= 4)
      mayRenew = true
      isCut.open()
      const ids = first.map(({ id }) => id)
      const withinMs = lease + context.capabilities.redeliveryMs + context.pace(15_000)
      const haveCome = (wanted: readonly string[]) => wanted.every((id) => recorder.ids.includes(id))
      await context.eventually('what was lost came again', () => haveCome(ids), withinMs)
      // Each by itself: nothing else that is settled makes the member look for more.
      for (let n = 0; n < 8; n += 1) {
        const { id } = await stage.sendOne()
        await context.eventually('it was handled', () => haveCome([id]), withinMs)
      }
      await context.eventually(
        'nothing is left',
        async () => {
          const { waiting, inFlight } = await stage.bus.group(stage.topic, stage.group).stats()
          return (waiting ?? 0) + (inFlight ?? 0) === 0
        },
        withinMs,
      )
    },
  },
]
