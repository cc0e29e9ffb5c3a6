import assert from 'node:assert/strict'
import { fixed, type Message, PermanentError } from '@waybill/core'
import { CloudEvent, HTTP, Kafka } from 'cloudevents'
import type { Case } from '../case/case.ts'
import { spyAdapter } from '../case/spy-adapter.ts'
import { numbered } from '../fixtures/numbered.ts'
import type { RawMessage } from '../harness.ts'

const trace = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'vendor=value',
}

const utf8 = new TextEncoder()

function foreignEvent(extensions: Record<string, string> = {}): CloudEvent<{ n: number }> {
  return new CloudEvent({
    id: crypto.randomUUID(),
    source: '/a/foreign/program',
    type: 'number.sent',
    time: '2020-02-29T12:34:56.789Z',
    datacontenttype: 'application/json',
    data: { n: 7 },
    ...extensions,
  })
}

function textHeaders(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  )
}

/** An event as a plain program sends it, in each mode and in each binding's spelling. */
function spellings(
  event: () => CloudEvent<{ n: number }>,
): Record<string, () => { id: string; raw: RawMessage }> {
  const binary = (spell: (attribute: string) => string) => () => {
    const made = event()
    const { 'content-type': contentType, ...headers } = textHeaders(HTTP.binary(made).headers)
    const spelled = Object.entries(headers).map(([name, value]) => [spell(name.slice('ce-'.length)), value])
    const body = utf8.encode(JSON.stringify(made.data))
    return { id: made.id, raw: { body, contentType, headers: Object.fromEntries(spelled) } }
  }
  return {
    structured: () => {
      const made = event()
      const { headers, body } = HTTP.structured(made)
      return {
        id: made.id,
        raw: { body: utf8.encode(String(body)), contentType: String(headers['content-type']), headers: {} },
      }
    },
    'binary, as in HTTP': binary((attribute) => `ce-${attribute}`),
    'binary, as in Kafka': () => {
      const made = event()
      const { 'content-type': contentType, ...headers } = textHeaders(Kafka.binary(made).headers)
      return { id: made.id, raw: { body: utf8.encode(JSON.stringify(made.data)), contentType, headers } }
    },
    'binary, as in AMQP': binary((attribute) => `cloudEvents:${attribute}`),
  }
}

export const metadata: readonly Case[] = [
  {
    number: 72,
    part: 'a',
    title: 'Id, timestamp, correlation, cause and metadata survive retries, the dead letters and a replay',
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const retry = { attempts: 2, backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry }, () => {
        if (recorder.deliveries.length <= 2) throw new Error('fails until it is replayed')
      })
      const options = {
        correlationId: 'conversation-1',
        causationId: 'cause-1',
        metadata: { tenant: 'acme' },
      }
      const sent = await stage.sendOne(options)
      await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.deepEqual(letter?.message, sent)
      await stage.bus.group(stage.topic, stage.group).deadLetters.replayAll()
      await context.exactly(recorder, [sent, sent, sent])
      for (const { message } of recorder.deliveries) assert.deepEqual(message, sent)
    },
  },
  {
    number: 72,
    part: 'b',
    title:
      'What a handler sends carries on the correlation, cause and trace of what it handles, retries included',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      const follower = numbered(stage.topic, 'number.followed')
      const followers: Message[] = []
      const retry = { backoff: fixed(context.pace(50)) }
      await stage.consume(recorder, { retry }, async (_, { attempt }) => {
        if (attempt === 1) throw new Error('fails once')
        followers.push(await stage.producer.send(follower, { n: 8 }))
        throw new PermanentError('fails for good')
      })
      const event = foreignEvent({ ...trace, correlationid: 'conversation-1' })
      const { headers, body } = HTTP.structured(event)
      await context.publishRaw(stage.topic, {
        type: event.type,
        body: utf8.encode(String(body)),
        contentType: String(headers['content-type']),
        headers: {},
      })
      await context.exactly(recorder, [event, event])
      const expected = { ...trace, correlationId: 'conversation-1' }
      for (const { message } of recorder.deliveries) {
        assert.deepEqual({ ...message.metadata }, { ...expected, source: event.source })
        assert.equal(message.timestamp.toISOString(), event.time)
      }
      await context.eventually('it is a dead letter', async () => (await stage.deadLetters()).length === 1)
      const [letter] = await stage.deadLetters()
      assert.deepEqual({ ...letter?.message?.metadata }, { ...expected, source: event.source })
      assert.deepEqual(
        { ...followers[0]?.metadata },
        { ...expected, causationId: event.id, source: 'waybill' },
      )
    },
  },
  {
    number: 73,
    part: 'a',
    title: 'The official CloudEvents client reads what we send',
    async run(context) {
      const { adapter, published } = spyAdapter(context.harness.adapter)
      const stage = await context.stage({ connect: { adapter } })
      const sent = await stage.sendOne({ correlationId: 'conversation-1', expiresIn: '1h' })
      const [outbound] = published
      assert.ok(outbound)
      assertReadable(outbound, sent)
      const mirrored = Object.entries(outbound.attributes).map(([name, value]) => [`ce-${name}`, value])
      const event = HTTP.toEvent({
        headers: { 'content-type': 'application/json', ...Object.fromEntries(mirrored) },
        body: JSON.stringify(sent.data),
      })
      assert.ok(event instanceof CloudEvent)
      assert.equal(event.id, sent.id)
    },
  },
  {
    number: 73,
    part: 'b',
    title: 'The official CloudEvents client reads what the broker has, fetched by a plain client',
    needs: ['rawMessages'],
    async run(context) {
      const stage = await context.stage()
      const sent = await stage.sendOne({ correlationId: 'conversation-1' })
      let raw: readonly RawMessage[] = []
      await context.eventually('the broker has it', async () => {
        raw = await context.rawMessages(stage.topic, stage.group)
        return raw.length === 1
      })
      assert.ok(raw[0])
      assertReadable(raw[0], sent)
      const mirrored = Object.entries(raw[0].headers).find(([name]) =>
        /^(ce|cloudevents)[-_:]id$/i.test(name),
      )
      const expected = context.harness.inspect?.mirrorsAttributes === false ? undefined : sent.id
      assert.equal(mirrored?.[1], expected, 'the attributes among the headers')
    },
  },
  {
    number: 73,
    part: 'c',
    title: 'We read structured and binary events of plain CloudEvents programs, in every spelling',
    needs: ['publishRaw'],
    async run(context) {
      const stage = await context.stage()
      const recorder = context.recorder()
      await stage.consume(recorder)
      for (const [mode, spell] of Object.entries(spellings(foreignEvent))) {
        const { id, raw } = spell()
        await context.publishRaw(stage.topic, { type: 'number.sent', ...raw })
        await context.eventually(`the ${mode} event arrives`, () => recorder.of({ id }).length === 1)
        const [delivery] = recorder.of({ id })
        assert.deepEqual(delivery?.message.data, { n: 7 }, mode)
        assert.equal(delivery?.message.metadata.source, '/a/foreign/program', mode)
        assert.equal(delivery?.message.timestamp.toISOString(), '2020-02-29T12:34:56.789Z', mode)
      }
      assert.equal((await stage.deadLetters()).length, 0)
    },
  },
]

function assertReadable(raw: { body: Uint8Array; contentType: string | undefined }, sent: Message): void {
  assert.equal(raw.contentType?.split(';')[0], 'application/cloudevents+json')
  const headers = { 'content-type': 'application/cloudevents+json' }
  const body = new TextDecoder().decode(raw.body)
  // The client fills in what is missing.
  const attributes: object = JSON.parse(body)
  for (const name of ['specversion', 'id', 'source', 'type'])
    assert.ok(name in attributes, `there is no ${name}`)
  const event = HTTP.toEvent({ headers, body })
  assert.ok(event instanceof CloudEvent)
  assert.equal(event.validate(), true)
  assert.equal(event.id, sent.id)
  assert.equal(event.type, sent.type)
  assert.equal(event.source, sent.metadata.source)
  assert.equal(event.time, sent.timestamp.toISOString())
  assert.equal(event.correlationid, 'conversation-1')
  assert.deepEqual(event.data, sent.data)
}
