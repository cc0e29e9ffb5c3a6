import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { Latch } from '../case/latch.ts'
import { hasCause, refusal } from '../case/refusal.ts'
import { wrapAdapter } from '../case/wrap-adapter.ts'

/** How soon an abort must end a wait. */
const promptMs = 1000

export const connections: readonly Case[] = [
  {
    number: 9,
    part: 'a',
    title: 'With provision: verify whatever is missing is named in one typed error, and nothing is made',
    needs: ['severalGroups'],
    async run(context) {
      const topic = context.topic({ groups: [context.unique('billing'), context.unique('shipping')] })
      const other = context.topic()
      for (let round = 0; round < 2; round += 1) {
        const attempt = context.bus({ provision: 'verify', topics: [topic, other] })
        const error = await refusal('connect', attempt, 'topology-missing')
        for (const name of [topic.name, other.name]) {
          assert.ok(error.message.includes(name), `"${error.message}" does not name ${name}`)
        }
      }
      await context.bus({ topics: [topic, other] })
      const [first, ...others] = topic.groups
      assert.ok(first)
      const later = {
        ...topic,
        groups: [first, ...others, { name: context.unique('later'), types: ['#'], named: false }],
      }
      const error = await refusal(
        'connect',
        context.bus({ provision: 'verify', topics: [later] }),
        'topology-missing',
      )
      assert.ok(
        error.message.includes(later.groups.at(-1)?.name ?? '?'),
        `"${error.message}" does not name the group`,
      )
      await context.bus({ provision: 'verify', topics: [topic, other] })
    },
  },
  {
    number: 9,
    part: 'b',
    title: 'With provision: create what is missing is made once, and what is there is never deleted',
    needs: ['severalGroups'],
    async run(context) {
      const stage = await context.stage({
        topic: { groups: [context.unique('kept'), context.unique('dropped')] },
      })
      const before = await stage.send(3)
      const [kept, dropped] = stage.topic.groups
      assert.ok(kept && dropped)
      const bus = await context.bus({ topics: [{ ...stage.topic, groups: [kept] }] })
      assert.deepEqual((await bus.provision([stage.topic])).created, [], 'made again')
      const after = await stage.send(3)
      for (const { name: group } of [kept, dropped]) {
        const recorder = context.recorder()
        await stage.consume(recorder, { group, bus })
        await context.exactly(recorder, [...before, ...after])
      }
    },
  },
  {
    number: 10,
    title: 'After close() every use is refused as closed, and closing again does nothing',
    async run(context) {
      const stage = await context.stage()
      const { bus, producer, message, topic, group } = stage
      const consumer = bus.consumer(group).on(message, () => undefined)
      const letters = bus.group(topic, group).deadLetters
      await context.within('both closes', Promise.all([bus.close(), bus.close()]))
      await bus.close()
      const receiving = async () => {
        for await (const _ of bus.receive(message, { group })) assert.fail('received after close')
      }
      await refusal('send', stage.sendOne(), 'closed')
      await refusal('sendBatch', producer.sendBatch(message, [{ n: 1 }]), 'closed')
      await refusal('start', consumer.start(), 'closed')
      await refusal('receive', receiving(), 'closed')
      await refusal('provision', bus.provision([topic]), 'closed')
      await refusal('count', letters.count(), 'closed')
    },
  },
  {
    number: 11,
    part: 'a',
    title: 'An abort ends a pending send at once, and one that has fired before sends nothing',
    async run(context) {
      const stuck = new Latch()
      let hang = true
      let hanging = 0
      const adapter = wrapAdapter(context.harness.adapter, {
        async publish(batch, forward) {
          if (hang) {
            hanging += 1
            await stuck.passed()
          }
          return forward(batch)
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      context.defer(() => stuck.open())
      const recorder = context.recorder()
      await stage.consume(recorder)
      const abort = new AbortController()
      const sending = refusal('the send', stage.sendOne({ signal: abort.signal }), 'aborted')
      await context.eventually('the broker has the message in hand', () => hanging > 0)
      abort.abort()
      assert.equal((await context.within('the send ends', sending, promptMs)).fate, 'unknown')
      hang = false
      stuck.open()
      const refused = await refusal(
        'the second send',
        stage.sendOne({ signal: abort.signal }, { n: -1 }),
        'aborted',
      )
      assert.equal(refused.fate, 'not-sent')
      const control = await stage.sendOne()
      await context.eventually('the control arrives', () => recorder.of(control).length === 1)
      await context.quiet()
      assert.ok(
        recorder.deliveries.every(({ message: { data } }) => JSON.stringify(data) !== '{"n":-1}'),
        'a send that was aborted before it began arrived',
      )
    },
  },
  {
    number: 11,
    part: 'b',
    title: 'An abort ends a pending connect at once',
    async run(context) {
      const adapter = wrapAdapter(context.harness.adapter, { connect: () => new Promise(() => undefined) })
      const abort = new AbortController()
      const connecting = refusal('connect', context.bus({ adapter, signal: abort.signal }), 'aborted')
      abort.abort()
      await context.within('connect ends', connecting, promptMs)
    },
  },
  {
    number: 11,
    part: 'c',
    title: 'An abort ends a loop that waits for messages',
    async run(context) {
      const { bus, group, message, ...stage } = await context.stage()
      const abort = new AbortController()
      const acked: string[] = []
      const receiving = async () => {
        for await (const delivery of bus.receive(message, { group, signal: abort.signal })) {
          await delivery.ack()
          acked.push(delivery.message.id)
        }
      }
      const loop = receiving()
      const sent = await stage.producer.send(message, { n: 1 })
      await context.eventually('the message is acked', () => acked.includes(sent.id))
      abort.abort()
      await context.within('the loop ends', loop, promptMs)
    },
  },
  {
    number: 11,
    part: 'd',
    title: 'An abort ends a send whose connection says nothing any more',
    needs: ['proxy'],
    async run(context) {
      const { options, proxy } = await context.proxied()
      const stage = await context.stage({ connect: options })
      await stage.sendOne()
      proxy.blackhole()
      context.defer(() => proxy.heal())
      const abort = new AbortController()
      const sending = refusal('the send', stage.sendOne({ signal: abort.signal }), 'aborted')
      abort.abort()
      await context.within('the send ends', sending, promptMs)
    },
  },
  {
    number: 12,
    part: 'a',
    title: 'The client underneath and the original error of a failed send can be reached',
    async run(context) {
      const original = new Error('from the client')
      const adapter = wrapAdapter(context.harness.adapter, {
        async publish() {
          throw new MessagingError('failed', 'publish failed', { cause: original })
        },
      })
      const stage = await context.stage({ connect: { adapter } })
      const { name } = context.harness.adapter
      const native = stage.bus.native(name)
      assert.ok(native !== undefined && native !== null, 'native() gives nothing')
      const other = () => stage.bus.native(`${name}-of-others`)
      assert.throws(other, (thrown) => MessagingError.is(thrown) && thrown.message.includes(name))
      const error = await refusal('send', stage.sendOne(), 'failed')
      assert.ok(
        hasCause(error, (cause) => cause === original),
        'the original error is lost',
      )
    },
  },
  {
    number: 12,
    part: 'b',
    title: 'The error of a refused connection carries the one of the client',
    needs: ['proxy'],
    async run(context) {
      const { options, proxy } = await context.proxied()
      await proxy.refuse()
      const connecting = context.bus({ ...options, timeout: context.pace(1000) })
      const error = await refusal('connect', connecting, 'connection-failed', 'timeout')
      assert.ok(
        hasCause(error, (cause) => cause instanceof Error && !MessagingError.is(cause)),
        `nothing but our own errors: ${error.message}`,
      )
    },
  },
]
