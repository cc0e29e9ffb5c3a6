import assert from 'node:assert/strict'
import { defineMessage, fixed } from '@waybill/core'
import { type ClaimStore, claimCheck, compress, encrypt } from '@waybill/core/stages'
import { z } from 'zod'
import type { Case } from '../case/case.ts'

function memoryStore() {
  const bodies = new Map<string, Uint8Array>()
  const store: ClaimStore = {
    put: async (id, body) => void bodies.set(id, body),
    get: async (id) => bodies.get(id),
    remove: async (id) => void bodies.delete(id),
  }
  return { store, bodies }
}

const key = (byte: number) => new Uint8Array(32).fill(byte)

const schema = z.object({ n: z.number(), text: z.string() })

/** What Waybill's own stages do to bodies, on every broker. */
export const stages: readonly Case[] = [
  {
    number: 274,
    part: 'a',
    title: 'Compression, encryption and a claim check compose, and survive retry, dead letter and replay',
    requires: ['deadLetters'],
    async run(context) {
      const { store, bodies } = memoryStore()
      const stage = await context.stage({
        connect: {
          stages: [
            compress({ above: 100 }),
            encrypt({ keys: { old: key(1), new: key(2) }, use: 'new' }),
            claimCheck({ store, above: 200 }),
          ],
        },
      })
      const Text = defineMessage(stage.topic, 'text.sent', { schema, key: () => 'k' })
      const recorder = context.recorder()
      const work = recorder.handler('only', () => {
        if (recorder.deliveries.length <= 2) throw new Error('not yet')
      })
      const retry = { attempts: 2, backoff: fixed(context.pace(100)) }
      await stage.bus.consumer(stage.group, { retry }).on(Text, work).start()
      // Compressible, and still above the claim check's size when it is compressed.
      const data = {
        n: 1,
        text: `${'waybill '.repeat(2000)}${crypto.getRandomValues(new Uint8Array(400)).join()}`,
      }
      const sent = await stage.producer.send(Text, data)
      assert.equal(bodies.size, 1, 'the body is in the store')
      await context.eventually('there is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.deepEqual(letter?.message?.data, data, 'the dead letter shows the data')
      await stage.bus.group(stage.topic, stage.group).deadLetters.replay(letter?.id ?? '')
      await context.eventually('it is handled', () => recorder.of(sent).length === 3)
      for (const { message } of recorder.of(sent)) assert.deepEqual(message.data, data)
    },
  },
  {
    number: 274,
    part: 'b',
    title:
      'Bodies from before a stage was switched on, and sealed under an older key, are read beside the new ones',
    async run(context) {
      const stage = await context.stage()
      const Text = (keys: Record<string, Uint8Array> | undefined, use = '') =>
        defineMessage(stage.topic, 'text.sent', { schema, stages: keys ? [encrypt({ keys, use })] : [] })
      const recorder = context.recorder()
      const current = Text({ old: key(1), new: key(2) }, 'new')
      await stage.bus.consumer(stage.group).on(current, recorder.handler()).start()
      await stage.producer.send(Text(undefined), { n: 1, text: 'plain' })
      await stage.producer.send(Text({ old: key(1) }, 'old'), { n: 2, text: 'old' })
      await stage.producer.send(current, { n: 3, text: 'new' })
      await context.eventually('all are handled', () => recorder.deliveries.length === 3)
      const texts = recorder.deliveries.map(({ message }) => schema.parse(message.data).text)
      assert.deepEqual(texts.toSorted(), ['new', 'old', 'plain'])
    },
  },
  {
    number: 275,
    part: 'a',
    title: 'With a claim check a body may be larger than the broker takes; without one the error names it',
    async run(context) {
      const { store } = memoryStore()
      const stage = await context.stage()
      const limit = Math.min(stage.bus.capabilities.maxMessageBytes, 4 * 1024 * 1024)
      const options = { schema, stages: [claimCheck({ store, above: '10kb' })] }
      const Large = defineMessage(stage.topic, 'text.sent', options)
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group).on(Large, recorder.handler()).start()
      const data = { n: 1, text: 'x'.repeat(limit + 1000) }
      const sent = await stage.producer.send(Large, data)
      await context.eventually('it is handled', () => recorder.of(sent).length === 1)
      assert.equal(schema.parse(recorder.deliveries[0]?.message.data).text.length, limit + 1000)
      if (limit < stage.bus.capabilities.maxMessageBytes) return
      const Bare = defineMessage(stage.topic, 'text.bare', { schema })
      await assert.rejects(stage.producer.send(Bare, data), { code: 'too-large', message: /claimCheck/ })
    },
  },
  {
    number: 275,
    part: 'b',
    title:
      'A claim whose body is gone, and a sealed body that was tampered with, are one dead letter each that says so',
    requires: ['deadLetters'],
    needs: ['publishRaw'],
    async run(context) {
      const { store, bodies } = memoryStore()
      const stage = await context.stage()
      const Claimed = defineMessage(stage.topic, 'text.sent', {
        schema,
        stages: [claimCheck({ store, above: 10 }), encrypt({ keys: { k: key(1) }, use: 'k' })],
      })
      const recorder = context.recorder()
      const consumer = stage.bus.consumer(stage.group).on(Claimed, recorder.handler())
      await stage.producer.send(Claimed, { n: 1, text: 'gone'.repeat(10) })
      bodies.clear()
      await context.publishRaw(stage.topic, {
        body: new TextEncoder().encode('no seal of ours'.repeat(10)),
        contentType: 'application/octet-stream',
        headers: { 'waybill-stages': 'encrypt=k', 'waybill-content-type': 'application/cloudevents+json' },
        type: 'text.sent',
      })
      await consumer.start()
      await context.eventually(
        'there are two dead letters',
        async () => (await stage.deadLetters()).length === 2,
      )
      const letters = await stage.deadLetters()
      assert.deepEqual(
        letters.map(({ reason }) => reason),
        ['undecodable', 'undecodable'],
      )
      const texts = letters.map(({ error }) => error?.message ?? '').join('\n')
      assert.match(texts, /is gone/)
      assert.match(texts, /encrypt/)
      assert.equal(recorder.deliveries.length, 0)
    },
  },
]
