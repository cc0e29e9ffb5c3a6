import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import {
  type Stage as BodyStage,
  type Codec,
  type DeadLetter,
  defineMessage,
  fixed,
  type Message,
  MessagingError,
} from '@waybill/core'
import { cloudEvents, json, massTransit, nestEvents, snsNotification } from '@waybill/core/codecs'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import type { Recorder } from '../case/recorder.ts'
import type { Stage } from '../case/stage.ts'

const text = new TextEncoder()

/** `{ "event": "number.sent", "n": 1 }`, as a program writes it that knows nothing of Waybill. */
const plain = json({ type: { field: 'event' }, time: { field: 'at' } })

/** A stage that turns bodies round. */
const reversed: BodyStage = {
  name: 'reversed',
  apply: (body) => ({ body: body.toReversed(), note: 'r;1' }),
  undo: (body, note) => (note === 'r;1' ? body.toReversed() : undefined),
}

async function publishJson(
  context: CaseContext,
  stage: Stage,
  body: unknown,
  { headers = {}, contentType = 'application/json' } = {},
): Promise<void> {
  const bytes = text.encode(JSON.stringify(body))
  await context.publishRaw(stage.topic, { body: bytes, contentType, headers, type: stage.message.type })
}

/** The one dead letter of the stage. */
async function letterOf(context: CaseContext, stage: Stage): Promise<DeadLetter> {
  const letters = await lettersOf(context, stage, 1)
  return letters[0] ?? assert.fail()
}

async function lettersOf(context: CaseContext, stage: Stage, count: number): Promise<readonly DeadLetter[]> {
  let letters: readonly DeadLetter[] = []
  await context.eventually(`there are ${count} dead letters`, async () => {
    letters = await stage.deadLetters()
    return letters.length === count
  })
  return letters
}

async function first(context: CaseContext, recorder: Recorder): Promise<Message> {
  await context.eventually('it is handled', () => recorder.deliveries.length > 0)
  return recorder.deliveries[0]?.message ?? assert.fail()
}

const withoutFilled = ({ id, type, version, timestamp, data, key, metadata }: Message) => ({
  ...{ id, type, version, timestamp, data, key, metadata },
})

export const codecs: readonly Case[] = [
  {
    number: 270,
    part: 'a',
    title:
      'Plain JSON of another program is handled; what it leaves out is filled in, marked, and the same through retry, dead letter and replay',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage({ connect: { codec: plain } })
      const recorder = context.recorder()
      const retry = { attempts: 2, backoff: fixed(context.pace(100)) }
      await stage.consume(recorder, { retry }, () => {
        if (recorder.deliveries.length <= 2) throw new Error('not yet')
      })
      await publishJson(context, stage, { event: stage.message.type, n: 7 })
      const letter = await letterOf(context, stage)
      assert.equal(letter.message?.id, recorder.ids[0], 'the dead letter shows the id')
      await stage.bus.group(stage.topic, stage.group).deadLetters.replay(letter.id)
      await context.eventually('it is handled again', () => recorder.deliveries.length === 3)
      assert.equal(new Set(recorder.ids).size, 1, 'one id')
      for (const { message } of recorder.deliveries) {
        assert.deepEqual(message.filledIn, ['id', 'source', 'timestamp'])
        assert.deepEqual(message.data, { n: 7 })
        assert.equal(message.metadata.source, stage.topic.name)
        assert.equal(message.timestamp.getTime(), recorder.deliveries[0]?.message.timestamp.getTime())
      }
      assert.deepEqual(
        recorder.deliveries.map(({ attempt }) => attempt),
        [1, 2, 1],
      )
    },
  },
  {
    number: 270,
    part: 'b',
    title: 'What the JSON codec sends is plain JSON to another program',
    needs: ['rawMessages'],
    async run(context) {
      const stage = await context.stage({ connect: { codec: plain } })
      const sent = await stage.sendOne()
      const [raw] = await context.rawMessages(stage.topic, stage.group)
      assert.ok(raw, 'it is there')
      assert.deepEqual(JSON.parse(new TextDecoder().decode(raw.body)), {
        event: stage.message.type,
        n: 1,
        at: sent.timestamp.toISOString(),
      })
      assert.equal(raw.contentType, 'application/json')
    },
  },
  ...(
    [
      ['c', 'json()', plain],
      ['d', 'cloudEvents({ mode: binary })', cloudEvents({ mode: 'binary' })],
      ['e', 'nestEvents()', nestEvents()],
      ['f', 'massTransit()', massTransit({ types: { 'number.sent': 'Numbers:NumberSent' } })],
    ] as const
  ).map(
    ([part, name, codec]): Case => ({
      number: 270,
      part,
      title: `A message sent with ${name} arrives with all that was said of it`,
      async run(context) {
        const stage = await context.stage({ connect: { codec } })
        const recorder = context.recorder()
        await stage.consume(recorder)
        const sent = await stage.sendOne({
          id: 'own-id',
          key: 'k',
          correlationId: 'c-1',
          causationId: 'b-1',
          expiresIn: '1h',
          metadata: { tenant: 'Zürich' },
        })
        const message = await first(context, recorder)
        assert.deepEqual(withoutFilled(message), withoutFilled({ ...sent, data: message.data }))
        assert.deepEqual(message.data, { n: 1 })
        assert.deepEqual(message.expiresAt, sent.expiresAt)
        assert.equal(message.filledIn, undefined)
      },
    }),
  ),
  {
    number: 271,
    part: 'a',
    title:
      'Old and new formats share a topic: CloudEvents, plain JSON, NestJS events and SNS notifications are all handled',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage({ connect: { codec: [nestEvents(), snsNotification(), plain] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const { type } = stage.message
      await publishJson(context, stage, { event: type, n: 1 })
      await publishJson(context, stage, { pattern: type, data: { n: 2 } })
      const notification = {
        Type: 'Notification',
        MessageId: 'sns-1',
        TopicArn: 'arn:aws:sns:eu-west-1:000000000000:numbers',
        Message: JSON.stringify({ event: type, n: 3 }),
        Timestamp: '2026-11-28T10:00:00.000Z',
      }
      await publishJson(context, stage, notification)
      const event = { specversion: '1.0', id: 'ce-1', source: '/else', type, data: { n: 4 } }
      await publishJson(context, stage, event, { contentType: 'application/cloudevents+json' })
      await stage.producer.send(stage.message, { n: 5 })
      await context.eventually('all are handled', () => recorder.deliveries.length === 5)
      const numbers = recorder.deliveries.map(({ message }) => (message.data as { n: number }).n)
      assert.deepEqual(numbers.toSorted(), [1, 2, 3, 4, 5])
      assert.deepEqual(recorder.ids.filter((id) => ['sns-1', 'ce-1'].includes(id)).toSorted(), [
        'ce-1',
        'sns-1',
      ])
      assert.deepEqual(await stage.deadLetters(), [])
    },
  },
  {
    number: 271,
    part: 'b',
    title: 'What no codec reads, and what a codec cannot read, is one dead letter each, byte for byte',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage({ connect: { codec: plain } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const bodies = ['{"event":', 'no JSON', '[1,2']
      for (const body of bodies) {
        const message = { body: text.encode(body), contentType: 'application/json', headers: {} }
        await context.publishRaw(stage.topic, { ...message, type: stage.message.type })
      }
      await stage.sendOne()
      await first(context, recorder)
      const letters = await lettersOf(context, stage, bodies.length)
      assert.deepEqual(
        letters.map(({ body }) => new TextDecoder().decode(body)).toSorted(),
        bodies.toSorted(),
      )
      for (const { reason, error } of letters) {
        assert.equal(reason, 'undecodable')
        assert.match(error?.message ?? '', /codec/)
      }
      assert.equal(recorder.deliveries.length, 1)
    },
  },
  {
    number: 272,
    title: 'A codec and a stage that take their time keep the order of each key, in and out',
    requires: ['ordered'],
    async run(context) {
      const delayed = (n: number) => setTimeout(n % 3 === 0 ? 30 : n % 3)
      const read = (body: Uint8Array): number => JSON.parse(new TextDecoder().decode(body)).n
      const slow: Codec = {
        name: 'slow',
        encode: async (message) => {
          await delayed((message.data as { n: number }).n)
          return (await plain.encode?.(message)) ?? assert.fail()
        },
        decode: async (wire) => {
          await delayed(read(wire.body))
          return plain.decode(wire)
        },
      }
      const stage = await context.stage({
        topic: { ordered: true },
        connect: { codec: slow, stages: [reversed] },
      })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sends = Array.from({ length: 30 }, (_, n) => stage.sendOne({}, { key: `k${n % 2}` }))
      await Promise.all(sends)
      await context.eventually('all are handled', () => recorder.deliveries.length >= 30)
      for (const key of ['k0', 'k1']) {
        const numbers = recorder.deliveries.flatMap(({ message }) =>
          message.key === key ? [(message.data as { n: number }).n] : [],
        )
        assert.deepEqual(
          numbers,
          numbers.toSorted((one, other) => one - other),
          `the order of ${key}`,
        )
      }
    },
  },
  {
    number: 273,
    part: 'a',
    title:
      'What a stage did to a body survives retry, dead letter and replay; bodies without it are read as well',
    requires: ['deadLetters'],
    async run(context) {
      const stage = await context.stage({ topic: { stages: [reversed] } })
      const recorder = context.recorder()
      const retry = { attempts: 2, backoff: fixed(context.pace(100)) }
      await stage.consume(recorder, { retry }, ({ data }) => {
        const { n } = data as { n: number }
        if (n === 1 && recorder.deliveries.length <= 3) throw new Error('not yet')
      })
      const [sent] = await stage.send(1)
      const Bare = defineMessage(stage.topic, stage.message.type, {
        schema: z.object({ n: z.number() }),
        stages: [],
      })
      await stage.producer.send(Bare, { n: 2 })
      const letter = await letterOf(context, stage)
      assert.equal(letter.message?.id, sent?.id)
      assert.deepEqual(letter.message?.data, { n: 1 })
      await stage.bus.group(stage.topic, stage.group).deadLetters.replay(letter.id)
      await context.eventually('it is handled again', () => recorder.of(sent ?? assert.fail()).length === 3)
      for (const { message } of recorder.of(sent ?? assert.fail())) assert.deepEqual(message.data, { n: 1 })
      assert.equal(recorder.deliveries.length, 4)
    },
  },
  {
    number: 273,
    part: 'b',
    title:
      'While a stage cannot read, its store being away, messages wait, health shows it, and nothing is lost or counted',
    async run(context) {
      let isAway = true
      const kept: BodyStage = {
        ...reversed,
        undo: (body, note, message) => {
          if (isAway) throw new MessagingError('disconnected', 'The store is away', { retryable: true })
          return reversed.undo(body, note, message)
        },
      }
      const stage = await context.stage({ connect: { stages: [kept] } })
      const recorder = context.recorder()
      await stage.consume(recorder)
      const sent = await stage.send(5)
      await context.eventually('health shows it', async () => {
        const { status, consumers } = await stage.bus.health()
        return status === 'degraded' && consumers[0]?.error?.message === 'The store is away'
      })
      isAway = false
      // Some may have gone back to the broker for a while.
      const isDone = () => recorder.deliveries.length >= sent.length
      await context.eventually('all are handled', isDone, 60_000 + context.pace(15_000))
      assert.deepEqual(recorder.ids.toSorted(), sent.map(({ id }) => id).toSorted())
      assert.ok(
        recorder.deliveries.every(({ attempt }) => attempt === 1),
        'no attempt is counted',
      )
      assert.deepEqual(await stage.deadLetters(), [])
    },
  },
]
