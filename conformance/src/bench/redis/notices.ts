import assert from 'node:assert/strict'
import { defineTopic, MessagingError } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import { numbered } from '../../fixtures/numbered.ts'
import { base } from './keys.ts'
import { plainly } from './plain-client.ts'

const native = { redis: { mode: 'notices' } }

export const notices: readonly Case[] = [
  {
    number: 204,
    part: 'a',
    title: 'A notice reaches every broadcast consumer that is there, and Redis keeps nothing of it',
    async run(context) {
      const topic = context.topic({ native })
      const notice = numbered(topic)
      const bus = await context.bus()
      const producer = bus.producer()
      await producer.send(notice, { n: 0 })
      const recorders = [context.recorder(), context.recorder()]
      for (const recorder of recorders) {
        const each = await context.bus()
        await each.consumer('anybody', { broadcast: true }).on(notice, recorder.handler()).start()
      }
      const metadata = { tenant: 'größe' }
      const numbers = Array.from({ length: 50 }, (_, index) => index + 1)
      const sent = await Promise.all(numbers.map((n) => producer.send(notice, { n }, { metadata })))
      for (const recorder of recorders) {
        await context.exactly(recorder, sent)
        assert.ok(recorder.deliveries.every(({ message }) => message.metadata.tenant === metadata.tenant))
      }
      const keys = await plainly(context.harness.connection.url, (client) =>
        client.keys(`${base(topic).replace(/[{}]/g, '?')}*`),
      )
      assert.deepEqual(keys, [])
    },
  },
  {
    number: 204,
    part: 'b',
    title: 'What a topic of notices cannot do is refused at start-up or send, with the alternative',
    async run(context) {
      const topic = context.topic({ native })
      const bus = await context.bus()
      const asked = {
        'a consumer of a group': () =>
          bus
            .consumer('billing')
            .on(numbered(topic), () => undefined)
            .start(),
        'a declared group': () =>
          bus.provision([defineTopic(context.unique('topic'), { native, groups: ['billing'] })]),
        'a delayed send': () => bus.producer().send(numbered(topic), { n: 1 }, { delay: 1000 }),
      }
      for (const [what, ask] of Object.entries(asked)) {
        const error = await ask().then(
          () => assert.fail(`${what} was accepted`),
          (thrown: unknown) => thrown,
        )
        assert.ok(MessagingError.is(error), what)
        assert.equal(error.code, 'unsupported', what)
        assert.match(error.message, /mode "stream"/, what)
      }
    },
  },
]
