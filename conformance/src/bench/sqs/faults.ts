import assert from 'node:assert/strict'
import { MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { assertFirstWords } from '../../case/first-words.ts'
import { Latch } from '../../case/latch.ts'
import { refusal } from '../../case/refusal.ts'
import type { Injected } from './gateway.ts'
import { gatewayOf, openGateway, type Surroundings } from './surroundings.ts'

const failures: readonly { readonly name: string; readonly injected: Injected }[] = [
  { name: 'a 500', injected: { status: 500, code: 'InternalError' } },
  { name: 'a 503', injected: { status: 503, code: 'ServiceUnavailable' } },
  { name: 'a reset connection', injected: 'reset' },
  { name: 'an expired token', injected: { status: 403, code: 'ExpiredToken' } },
  { name: 'a right that is missing for a moment', injected: { status: 403, code: 'AccessDenied' } },
]

export function faults(surroundings: Surroundings): readonly Case[] {
  return [
    ...failures.map(
      ({ name, injected }, index): Case => ({
        number: 431,
        part: String.fromCharCode('a'.charCodeAt(0) + index),
        title: `A receive that ends in ${name} takes nothing away from what is in hand`,
        async run(context) {
          const gateway = await openGateway(context, surroundings)
          const stage = await context.stage({ connect: gatewayOf(context, gateway.url) })
          const recorder = context.recorder()
          const latch = new Latch()
          context.defer(() => latch.open())
          await stage.consume(recorder, { concurrency: 10 }, () => latch.passed())
          const inHand = await stage.send(5)
          await context.eventually('five are in hand', () => recorder.inFlight === 5)
          let failed = 0
          gateway.rule = ({ action }) => {
            if (action !== 'ReceiveMessage' || failed >= 2) return undefined
            failed += 1
            return injected
          }
          await context.eventually('receives have failed', () => failed === 2)
          latch.open()
          const later = await stage.send(5)
          await context.exactly(recorder, [...inHand, ...later])
        },
      }),
    ),
    {
      number: 432,
      title: 'Whatever name a 401 or 403 has, connecting ends in access-denied and says so at once',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const names = ['InvalidSignatureException', 'InvalidAccessKeyId', 'SomethingOfTomorrow']
        const user = 'test'
        for (const status of [401, 403]) {
          for (const code of names) {
            gateway.rule = () => ({ status, code })
            const before = gateway.requests.length
            await assert.rejects(context.bus(gatewayOf(context, gateway.url)), (error: unknown) => {
              assert.ok(MessagingError.is(error))
              assert.equal(error.code, 'access-denied')
              if (code === 'SomethingOfTomorrow') assert.match(error.message, new RegExp(code))
              else assertFirstWords('credentials', error.message, [user])
              return true
            })
            assert.equal(gateway.requests.length, before + 1)
          }
        }
        gateway.rule = () => undefined
        const bus = await context.bus(gatewayOf(context, gateway.url))
        gateway.rule = () => ({ status: 403, code: 'AccessDenied' })
        const { message } = await refusal('provision', bus.provision([context.topic()]), 'access-denied')
        assertFirstWords('rights', message, ['AccessDenied'])
      },
    },
    {
      number: 433,
      title: 'A clock that is an hour wrong is put right, as the SDK alone does it',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const hour = 3_600_000
        gateway.rule = ({ signedAt }) => {
          const now = Date.now() + hour
          if (Math.abs(signedAt - now) < 5 * 60_000) return undefined
          return { status: 403, code: 'InvalidSignatureException', date: new Date(now) }
        }
        const stage = await context.stage({ connect: gatewayOf(context, gateway.url) })
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, await stage.send(3))
      },
    },
    {
      number: 434,
      alone: true,
      title: 'A queue whose requests are throttled slows down no other, nor the renewal of its own leases',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const bus = await context.bus(gatewayOf(context, gateway.url))
        const [slow, quick] = [await context.stage({ bus }), await context.stage({ bus })]
        const queueOf = ({ topic, group }: typeof slow) => `${topic.name}_${group}`
        const recorder = context.recorder()
        const latch = new Latch()
        context.defer(() => latch.open())
        await slow.consume(recorder, { lease: context.pace(750) }, () => latch.passed())
        const held = await slow.sendOne()
        await context.eventually('it is in hand', () => recorder.inFlight === 1)
        const usualMs = await medianOf(() => quick.sendOne())
        gateway.rule = ({ action, about }) =>
          about === queueOf(slow) && /^(Receive|Send|Delete)/.test(action)
            ? { status: 400, code: 'RequestThrottled' }
            : undefined
        const refused = slow.send(20).catch((error: unknown) => error)
        await context.eventually('it is throttled', () => gateway.countOf('SendMessageBatch') >= 10)
        const medianMs = await medianOf(() => quick.sendOne())
        assert.ok(
          medianMs < 3 * usualMs + 50,
          `a send to another queue took ${Math.round(medianMs)} ms, usually ${Math.round(usualMs)} ms`,
        )
        // Beyond the lease: had it not been renewed, the message would be handed out a second time.
        const renewals = () => gateway.countOf('ChangeMessageVisibilityBatch')
        const before = renewals()
        await context.eventually('its lease is renewed', () => renewals() >= before + 4)
        gateway.rule = () => undefined
        latch.open()
        await refused
        await context.eventually('all are handled', () => recorder.deliveries.length >= 21)
        await context.quiet()
        assert.equal(recorder.of(held).length, 1)
      },
    },
    {
      number: 435,
      title: 'On an ordered topic nothing overtakes a message that the service refused within a batch',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const stage = await context.stage({
          connect: gatewayOf(context, gateway.url),
          topic: { ordered: true, groups: [context.unique('group')] },
        })
        let refused = 0
        gateway.rule = ({ action, input }) => {
          if (action !== 'SendMessageBatch' || refused > 0) return undefined
          refused += 1
          const entries: readonly { readonly Id: string }[] = Object(input.Entries)
          return {
            answer: { Failed: entries.map(({ Id }) => ({ Id, Code: 'InternalError', SenderFault: false })) },
          }
        }
        const sent = await stage.send(12, { key: 'same' })
        assert.equal(refused, 1)
        const recorder = context.recorder()
        await stage.consume(recorder)
        await context.exactly(recorder, sent)
        assert.deepEqual(
          recorder.deliveries.map(({ message }) => message.data),
          sent.map(({ data }) => data),
        )
        for (const { action, input } of gateway.requests) {
          if (action !== 'SendMessageBatch') continue
          const keys: readonly { readonly MessageGroupId: string }[] = Object(input.Entries)
          assert.equal(new Set(keys.map(({ MessageGroupId }) => MessageGroupId)).size, keys.length)
        }
      },
    },
    {
      number: 436,
      title: 'health() asks only for what the documented policies allow, and sees what they no longer allow',
      async run(context) {
        const gateway = await openGateway(context, surroundings)
        const forbidden = { status: 403, code: 'AccessDenied' }
        const stage = await context.stage({ connect: gatewayOf(context, gateway.url) })
        gateway.rule = ({ about }) => (about.startsWith(stage.topic.name) ? undefined : forbidden)
        assert.equal((await stage.bus.health()).status, 'up')
        gateway.rule = () => forbidden
        assert.equal((await stage.bus.health()).status, 'down')
        const bus = await context.bus(gatewayOf(context, gateway.url))
        assert.equal(
          (await bus.health()).status,
          'up',
          'before anything is known, being told no is an answer',
        )
      },
    },
  ]
}

async function medianOf(work: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let round = 0; round < 21; round += 1) {
    const startedAt = performance.now()
    await work()
    times.push(performance.now() - startedAt)
  }
  return times.sort((one, other) => one - other)[10] ?? 0
}
