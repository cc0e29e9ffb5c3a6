import assert from 'node:assert/strict'
import type { Delivery, Subscription } from '@waybill/core/driver'
import type { Case } from '../case/case.ts'
import { Latch } from '../case/latch.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** Lets a case take deliveries away from a consumer while their handlers run, as a broker does whose lease ran out. */
class Taker {
  readonly #inHand = new Set<Delivery>()
  #own: Subscription | undefined
  #tell: (deliveries: readonly Delivery[]) => void = () => undefined

  wrap(own: Subscription): Subscription {
    this.#own = own
    return {
      leaseMs: own.leaseMs,
      receive: async (max, signal) => {
        const deliveries = await own.receive(max, signal)
        for (const delivery of deliveries) this.#inHand.add(delivery)
        return deliveries
      },
      settle: (settlements, signal) => {
        for (const { delivery } of settlements) this.#inHand.delete(delivery)
        return own.settle(settlements, signal)
      },
      extend: (deliveries, leaseMs) => own.extend(deliveries, leaseMs),
      resize: (prefetch) => own.resize?.(prefetch),
      onLost: (listener) => {
        this.#tell = listener
        own.onLost(listener)
      },
      close: () => own.close(),
    }
  }

  /** The group has them again, and core is told that they are lost. */
  async take(): Promise<void> {
    const taken = [...this.#inHand]
    this.#inHand.clear()
    this.#tell(taken)
    await this.#own?.settle(taken.map((delivery) => ({ delivery, verdict: { kind: 'release' } })))
  }
}

export const standstill: readonly Case[] = [
  {
    number: 98,
    part: 'g',
    title: 'What was handled, but lost before its ack, is acked when it comes again, and not handled again',
    async run(context) {
      const taker = new Taker()
      const adapter = wrapAdapter(context.harness.adapter, { subscription: (own) => taker.wrap(own) })
      const stage = await context.stage()
      const bus = await context.bus({ adapter })
      const events: string[] = []
      bus.on('lost', () => events.push('lost'))
      bus.on('duplicate', ({ state }) => events.push(state))
      const recorder = context.recorder()
      const gate = new Latch()
      context.defer(() => gate.open())
      const consumer = await stage.consume(recorder, { bus, concurrency: 1 }, () => gate.passed())
      const sent = await stage.sendOne()
      await context.eventually('its handler runs', () => recorder.inFlight === 1)
      await taker.take()
      await context.eventually('its loss is told', () => events.includes('lost'))
      gate.open()
      await context.eventually('it is acked as a duplicate', () => events.includes('done'))
      await context.exactly(recorder, [sent])
      assert.deepEqual(events, ['lost', 'done'])
      await consumer.stop()
      // It is settled for good: nobody else gets it.
      const others = context.recorder()
      await stage.consume(others)
      await context.exactly(others, [await stage.sendOne()])
    },
  },
  {
    number: 98,
    part: 'h',
    title: 'Handlers that block the event loop for longer than their leases finish each message once',
    requires: ['lease'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      const sent = await stage.send(5)
      const [concurrency, lease] = [2, context.pace(1000)]
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency, lease },
        behaviour: { kind: 'block', durationMs: 2.5 * lease },
      })
      const runs = () => child.of('delivered').map(({ id }) => id)
      const withinMs = 15 * lease + context.pace(60_000)
      await context.eventually('all are handled', () => new Set(runs()).size === sent.length, withinMs)
      // What is not settled would come again to whoever is there next.
      await context.quiet(2 * lease + context.capabilities.redeliveryMs + context.pace(5000))
      assert.ok(
        runs().length <= sent.length + concurrency,
        `${runs().length} runs of ${sent.length} messages`,
      )
      await child.kill()
      const recorder = context.recorder()
      await stage.consume(recorder)
      await context.exactly(recorder, [await stage.sendOne()])
    },
  },
  {
    number: 98,
    part: 'i',
    title: 'A process that stands still for longer than its leases loses what it had, and acks none of it',
    requires: ['lease'],
    needs: ['processes'],
    timeoutMs: 180_000,
    async run(context) {
      const stage = await context.stage()
      const lease = context.pace(1000)
      const child = context.child('consumer-program', {
        topic: stage.topic,
        group: stage.group,
        options: { concurrency: 4, lease },
        behaviour: { kind: 'wait', durationMs: lease },
      })
      context.defer(() => child.resume())
      const sent = await stage.send(8)
      await context.eventually(
        'its handlers run',
        () => child.of('delivered').length >= 4,
        context.pace(60_000),
      )
      child.suspend()
      const done = new Set(child.of('handled').map(({ id }) => id))
      const held = child.of('delivered').filter(({ id }) => !done.has(id))
      assert.ok(held.length > 0, 'it held nothing when it was stopped')
      const recorder = context.recorder()
      await stage.consume(recorder, { lease })
      const handledHere = () => new Set(recorder.ids)
      await context.eventually(
        'its peer handles what it held',
        () => held.every(({ id }) => handledHere().has(id)),
        3 * lease + context.capabilities.redeliveryMs + context.pace(20_000),
      )
      child.resume()
      await context.eventually('it tells what it lost', () => {
        const lost = new Set(child.of('lost').map(({ id }) => id))
        return held.every(({ id }) => lost.has(id))
      })
      const later = await stage.send(8)
      const finished = () => new Set([...recorder.ids, ...child.of('handled').map(({ id }) => id)])
      await context.eventually('everything is handled', () =>
        [...sent, ...later].every(({ id }) => finished().has(id)),
      )
      await context.quiet(lease)
      const acked = child.of('handled').filter(({ id }) => handledHere().has(id))
      assert.deepEqual(acked, [], 'it acked what its peer had handled')
    },
  },
]
