import assert from 'node:assert/strict'
import { defineTopic } from '@waybill/core'
import type { Case } from '../case/case.ts'
import { assertFirstWords } from '../case/first-words.ts'
import { refusal } from '../case/refusal.ts'
import { numbered } from '../fixtures/numbered.ts'

export const refusedConnections: readonly Case[] = [
  {
    number: 103,
    part: 'a',
    title: 'A topic that is defined otherwise elsewhere is refused by one sentence that names both sides',
    requires: ['ordered'],
    async run(context) {
      const groups = [context.unique('group')]
      const { topic } = await context.stage({ topic: { groups, partitions: 5 } })
      const otherwise = defineTopic(topic.name, { groups, ordered: true, partitions: 2 })
      const error = await refusal('connect', context.bus({ topics: [otherwise] }), 'topology-mismatch')
      assertFirstWords('definition', error.message, [topic.name])
      assert.equal(error.retryable, false)
    },
  },
  {
    number: 103,
    part: 'b',
    title:
      'Wrong credentials are refused at connect by one sentence that names user and broker, and no secret',
    needs: ['wrongCredentials'],
    async run(context) {
      const { user = '', options = {} } = context.harness.wrong?.credentials ?? {}
      const error = await refusal('connect', context.bus(options), 'access-denied')
      assertFirstWords('credentials', error.message, [user])
      assert.ok(!/wrong/.test(error.message), `"${error.message}" tells the password`)
      assert.equal(error.retryable, false)
    },
  },
  {
    number: 103,
    part: 'c',
    title: 'An address where nothing listens is refused by one sentence that names it',
    needs: ['wrongAddress'],
    async run(context) {
      const { address = '', options = {} } = context.harness.wrong?.address ?? {}
      const timeout = context.pace(2000)
      const error = await refusal('connect', context.bus({ ...options, timeout }), 'connection-failed')
      assertFirstWords('address', error.message, [address])
    },
  },
  {
    number: 103,
    part: 'd',
    title: 'TLS with a port that speaks none is refused by one sentence',
    needs: ['wrongTls'],
    async run(context) {
      const timeout = context.pace(5000)
      const connecting = context.bus({ ...context.harness.wrong?.tls, timeout })
      assertFirstWords('tls', (await refusal('connect', connecting, 'connection-failed')).message)
    },
  },
  {
    number: 103,
    part: 'e',
    title: 'A missing right is refused by one sentence that says what is not allowed, and sends nothing',
    needs: ['wrongRights'],
    async run(context) {
      const options = (await context.harness.wrong?.rights?.()) ?? {}
      const bus = await context.bus(options)
      const topic = context.topic({ groups: [context.unique('group')] })
      const creating = await refusal('provision', bus.provision([topic]), 'access-denied')
      assertFirstWords('rights', creating.message)
      assert.equal(creating.retryable, false)
      // What others have made is no more ours.
      await context.bus({ topics: [topic] })
      const unprovisioned = await context.bus({ ...options, provision: 'none' })
      const producer = unprovisioned.producer({ timeout: context.pace(5000) })
      const sending = await refusal('send', producer.send(numbered(topic), { n: 1 }), 'access-denied')
      assertFirstWords('rights', sending.message)
      assert.equal(sending.fate, 'not-sent')
      const consumer = unprovisioned.consumer(topic.groups[0]?.name ?? '').on(numbered(topic), () => {})
      const starting = refusal('start', consumer.start({ timeout: context.pace(5000) }), 'access-denied')
      assertFirstWords('rights', (await starting).message)
    },
  },
]
