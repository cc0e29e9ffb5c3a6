import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { defineMessage, type MessageDefinition, MessagingError } from '@waybill/core'
import { messageBytes, type OutboundMessage } from '@waybill/core/driver'
import { z } from 'zod'
import type { Case } from '../case/case.ts'
import type { CaseContext } from '../case/case-context.ts'
import { refusal } from '../case/refusal.ts'
import { spyAdapter } from '../case/spy-adapter.ts'
import type { Stage } from '../case/stage.ts'

interface SizedStage {
  readonly stage: Stage
  readonly text: MessageDefinition<string, string>
  readonly published: readonly OutboundMessage[]
  /** A text whose message is of that many bytes, as core counts them. */
  textOf(bytes: number): Promise<string>
}

async function sizedStage(context: CaseContext): Promise<SizedStage> {
  const { adapter, published } = spyAdapter(context.harness.adapter)
  const stage = await context.stage({ connect: { ...context.harness.lowered?.messageBytes, adapter } })
  const text = defineMessage(stage.topic, 'text.sent', { schema: z.string() })
  return {
    stage,
    text,
    published,
    async textOf(bytes) {
      const empty = await stage.producer.send(text, '')
      const measured = published.find(({ id }) => id === empty.id)
      assert.ok(measured)
      return 'x'.repeat(bytes - messageBytes(measured))
    },
  }
}

export const bodies: readonly Case[] = [
  {
    number: 67,
    title: 'Empty data, 64 KiB, one byte less than the limit and exactly the limit arrive as they were sent',
    async run(context) {
      const { stage, text, published, textOf } = await sizedStage(context)
      const anything = defineMessage(stage.topic, 'anything.sent', { schema: z.json() })
      const recorder = context.recorder()
      await stage.bus
        .consumer(stage.group)
        .on(text, recorder.handler())
        .on(anything, recorder.handler())
        .start()
      const limit = stage.bus.capabilities.maxMessageBytes
      const texts = ['', 'x'.repeat(64 * 1024), await textOf(limit - 1), await textOf(limit)]
      const measuring = published.map(({ id }) => ({ id }))
      const sent = []
      for (const data of texts) sent.push(await stage.producer.send(text, data))
      for (const data of [{}, [], null]) sent.push(await stage.producer.send(anything, data))
      assert.deepEqual(
        published.slice(-5, -3).map((message) => messageBytes(message)),
        [limit - 1, limit],
      )
      await context.exactly(recorder, [...measuring, ...sent])
      for (const message of sent) {
        const [delivery] = recorder.of(message)
        assert.ok(isSame(delivery?.message.data, message.data), `${message.type} arrived with other data`)
      }
    },
  },
  {
    number: 68,
    title:
      'A message above the limit is refused before anything is sent, and the connection is as good as before',
    async run(context) {
      const { stage, text, published, textOf } = await sizedStage(context)
      const limit = stage.bus.capabilities.maxMessageBytes
      const tooLarge = await textOf(limit + 1)
      const before = published.length
      const error = await refusal('send', stage.producer.send(text, tooLarge), 'too-large')
      assert.equal(error.fate, 'not-sent')
      await refusal('sendBatch', stage.producer.sendBatch(text, ['fits', tooLarge]), 'too-large')
      assert.equal(published.length, before, 'something was sent')
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group).on(text, recorder.handler()).start()
      const control = await stage.producer.send(text, 'control')
      await context.exactly(recorder, [...published.slice(0, before), control])
    },
  },
  {
    number: 69,
    title: 'Binary data arrives byte for byte, whatever the bytes',
    async run(context) {
      const stage = await context.stage()
      const binary = defineMessage(stage.topic, 'bytes.sent', { schema: z.instanceof(Uint8Array) })
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group).on(binary, recorder.handler()).start()
      const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index)
      const data = [everyByte, new Uint8Array(randomBytes(32 * 1024)), new Uint8Array(0), Uint8Array.of(0)]
      const sent = await stage.producer.sendBatch(binary, data)
      await context.exactly(recorder, sent)
      for (const [index, message] of sent.entries()) {
        const received = recorder.of(message)[0]?.message.data
        assert.ok(received instanceof Uint8Array, 'not bytes')
        assert.deepEqual(Buffer.from(received), Buffer.from(data[index] ?? []))
      }
    },
  },
  {
    number: 70,
    title: 'Any Unicode text, long metadata and many entries arrive as sent, or are refused at send',
    async run(context) {
      const stage = await context.stage()
      const text = defineMessage(stage.topic, 'text.sent', { schema: z.string() })
      const recorder = context.recorder()
      await stage.bus.consumer(stage.group).on(text, recorder.handler()).start()
      // The same letter, composed and decomposed; a family of code points; right to left; control characters.
      const texts = [
        '\u00e9',
        'e\u0301',
        '👩‍👩‍👧‍👦 🇺🇳',
        'שלום عالم',
        'line\r\nbreak\ttab',
        'nul \u0000 and \u001f',
        '𝔘𝔫𝔦',
        '',
        ' ',
      ]
      const metadata = [
        ...texts.map((value) => ({ text: value })),
        { long: 'ü'.repeat(2048) },
        Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`entry-${index}`, `value ${index}`])),
      ]
      const wanted = [
        ...texts.map((data) => ({ data, metadata: {} })),
        ...metadata.map((each) => ({ data: 'metadata', metadata: each })),
      ]
      const sent = []
      for (const each of wanted) {
        try {
          sent.push(await stage.producer.send(text, each.data, { metadata: each.metadata }))
        } catch (error) {
          assert.ok(MessagingError.is(error) && error.fate === 'not-sent', String(error))
          assert.equal(Object.keys(each.metadata).length > 0, true, 'data was refused')
        }
      }
      await context.exactly(recorder, sent)
      for (const message of sent) assert.deepEqual(recorder.of(message)[0]?.message, message)
      assert.ok(sent.length > texts.length, 'all metadata was refused')
    },
  },
  {
    number: 71,
    title:
      'Metadata whose name is reserved is refused at send, and names that look alike change nothing else',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      const reserved = [
        ...['waybill-attempt', 'Waybill-Anything', 'content-type', 'Content-Type'],
        ...['ce-id', 'ce_type', 'CE-Source', 'cloudEvents:id', 'cloudEvents_id', 'cloudevents:time'],
        ...['source', 'correlationId', 'causationId', 'traceparent', 'tracestate'],
        ...['', 'with space', 'nul\u0000', 'ümlaut'],
      ]
      for (const name of reserved) {
        const error = await refusal(
          `metadata "${name}"`,
          stage.sendOne({ metadata: { [name]: 'x' } }),
          'invalid-message',
        )
        assert.equal(error.fate, 'not-sent')
      }
      const harmless = [
        'id',
        'type',
        'time',
        'data',
        'key',
        'subject',
        'specversion',
        'partitionkey',
        'constructor',
      ]
      const sent = []
      for (const name of harmless) {
        try {
          sent.push(await stage.sendOne({ metadata: { [name]: 'mine' } }))
        } catch (error) {
          assert.ok(MessagingError.is(error) && error.code === 'invalid-message', `${name}: ${String(error)}`)
        }
      }
      const control = await stage.sendOne()
      await context.exactly(recorder, [...sent, control])
      for (const message of sent) assert.deepEqual(recorder.of(message)[0]?.message, message)
    },
  },
]

/** Large texts make large assertion errors, so they are compared here. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
