import { setTimeout } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { type ConnectOptions, connect } from '../bus/connect.ts'
import { MessagingError } from '../lib/errors.ts'
import { fixed } from '../lib/retry.ts'
import type { Codec } from '../messages/codec.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Stage } from '../messages/stage.ts'
import { defineTopic, type TopicOptions } from '../messages/topic.ts'

const json = (body: Uint8Array): Record<string, unknown> => JSON.parse(Buffer.from(body).toString())

/** `{ kind, …data }` under a content type of its own. */
const kinds: Codec = {
  name: 'kinds',
  encode: ({ type, data }) => ({
    body: Buffer.from(JSON.stringify({ kind: type, ...(data as object) })),
    contentType: 'application/x-kinds',
  }),
  decode: ({ body, contentType }) =>
    contentType === 'application/x-kinds' ? { type: String(json(body).kind), data: json(body) } : undefined,
}

const reversed: Stage = {
  name: 'reversed',
  apply: (body) => ({ body: body.toReversed(), note: 'a;b=c' }),
  undo: (body, note) => (note === 'a;b=c' ? body.toReversed() : undefined),
}

const buses: Bus[] = []
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
})

async function open(options: Omit<ConnectOptions, 'url'> = {}, topicOptions: TopicOptions = {}) {
  const bus = await connect({ url: 'memory:', console: false, ...options })
  buses.push(bus)
  const topic = defineTopic('orders', { groups: ['billing'], ...topicOptions })
  const schema = z.looseObject({ n: z.number() })
  const Placed = defineMessage(topic, 'order.placed', { schema, key: ({ n }) => `k${n % 2}` })
  const got: Message<{ n: number }>[] = []
  const consumer = bus.consumer('billing', { retry: { attempts: 3, backoff: fixed(5) } })
  const letters = async () => {
    const found = []
    for await (const letter of bus.group(topic, 'billing').deadLetters.list()) found.push(letter)
    return found
  }
  const until = async (met: () => boolean | Promise<boolean>) => {
    for (let tries = 0; !(await met()); tries += 1) {
      if (tries > 1000) throw new Error(`Not in time; got ${JSON.stringify(got)}`)
      await setTimeout(5)
    }
  }
  const raw = (body: string, contentType?: string, headers?: Record<string, string>) =>
    bus.native('memory').publishRaw('orders', {
      body: Buffer.from(body),
      ...(contentType !== undefined && { contentType }),
      ...(headers !== undefined && { headers }),
    })
  return { bus, topic, Placed, got, consumer, letters, until, raw }
}

describe('a codec', () => {
  test('writes and reads bodies, with all metadata kept', async () => {
    const { bus, Placed, got, consumer, until } = await open({ codec: kinds })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    const sent = await bus
      .producer({ source: 'shop' })
      .send(Placed, { n: 1 }, { metadata: { tenant: 'acme' } })
    await until(() => got.length === 1)
    expect(got[0]).toEqual({ ...sent, data: { kind: 'order.placed', n: 1 } })
    expect(got[0]?.metadata).toEqual({ source: 'shop', tenant: 'acme' })
  })

  test('of others: what they leave out is filled in, and marked', async () => {
    const { Placed, got, consumer, until, raw } = await open({}, { codec: kinds })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    raw('{"kind":"order.placed","n":1}', 'application/x-kinds')
    await until(() => got.length === 1)
    expect(got[0]).toMatchObject({
      type: 'order.placed',
      metadata: { source: 'orders' },
      filledIn: ['id', 'source', 'timestamp'],
    })
  })

  test('an id that was filled in stays through retries, dead letter and replay', async () => {
    const { bus, topic, Placed, got, consumer, until, raw, letters } = await open({ codec: kinds })
    await consumer
      .on(Placed, (message) => {
        got.push(message)
        if (got.length <= 3) throw new Error('not yet')
      })
      .start()
    raw('{"kind":"order.placed","n":1}', 'application/x-kinds')
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]?.message?.id).toBe(got[0]?.id)
    await bus.group(topic, 'billing').deadLetters.replayAll()
    await until(() => got.length === 4)
    expect(new Set(got.map(({ id }) => id)).size).toBe(1)
    expect(new Set(got.map(({ timestamp }) => timestamp.getTime())).size).toBe(1)
  })

  test('leaves CloudEvents to be read as ever, and others as one dead letter each', async () => {
    const { Placed, got, consumer, until, raw, letters } = await open({ codec: [kinds] })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    raw(
      JSON.stringify({ specversion: '1.0', id: 'e', source: 's', type: 'order.placed', data: { n: 7 } }),
      'application/cloudevents+json',
    )
    raw('what is this', 'text/plain')
    raw('{', 'application/x-kinds')
    await until(async () => got.length === 1 && (await letters()).length === 2)
    expect(got[0]?.data).toEqual({ n: 7 })
    const found = await letters()
    expect(found.map(({ reason }) => reason)).toEqual(['undecodable', 'undecodable'])
    expect(found[0]?.error?.message).toContain('None of the codecs (kinds, CloudEvents) knows the body')
    expect(found[1]?.error?.message).toContain('The codec kinds cannot read the body')
    expect(Buffer.from(found[1]?.body ?? []).toString()).toBe('{')
  })

  test('that is the definition’s own comes before the topic’s and the bus’s', async () => {
    const other: Codec = {
      name: 'other',
      decode: () => undefined,
      encode: () => {
        throw new Error('not this one')
      },
    }
    const { bus, topic, got, consumer, until } = await open({ codec: other }, { codec: other })
    const Own = defineMessage(topic, 'order.own', { schema: z.looseObject({ n: z.number() }), codec: kinds })
    await consumer.on(Own, (message) => void got.push(message)).start()
    await bus.producer().send(Own, { n: 1 })
    await until(() => got.length === 1)
    const Else = defineMessage(topic, 'order.else', { schema: z.looseObject({}) })
    await expect(bus.producer().send(Else, {})).rejects.toThrow(
      'the codec other cannot encode it: not this one',
    )
  })

  test('takes off what a service wrapped around a message, down to CloudEvents', async () => {
    const wrapper: Codec = {
      name: 'wrapper',
      decode: ({ body }) => {
        const { inside, id } = json(body)
        return inside === undefined
          ? undefined
          : {
              id: String(id),
              inside: {
                body: Buffer.from(String(inside)),
                contentType: 'application/x-kinds',
                headers: { a: 'b' },
              },
            }
      },
    }
    const { Placed, got, consumer, until, raw } = await open({ codec: [wrapper, kinds] })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    raw(JSON.stringify({ id: 'w-1', inside: JSON.stringify({ kind: 'order.placed', n: 3 }) }))
    await until(() => got.length === 1)
    expect(got[0]).toMatchObject({
      id: 'w-1',
      data: { n: 3 },
      metadata: { a: 'b' },
      filledIn: ['source', 'timestamp'],
    })
  })

  test('that takes different times keeps the order of a key, in and out', async () => {
    const slow: Codec = {
      ...kinds,
      encode: async (message) => {
        await setTimeout(20 - Number((message.data as { n: number }).n))
        return kinds.encode?.(message) ?? Promise.reject(new Error())
      },
      decode: async (wire) => {
        const { n } = json(wire.body)
        await setTimeout(20 - Number(n))
        return kinds.decode(wire)
      },
    }
    const { bus, Placed, got, consumer, until } = await open({ codec: slow }, { ordered: true })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    const producer = bus.producer()
    await Promise.all(Array.from({ length: 20 }, (_, n) => producer.send(Placed, { n })))
    await until(() => got.length === 20)
    const of = (key: string) => got.filter((message) => message.key === key).map(({ data }) => data.n)
    expect(of('k0')).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
    expect(of('k1')).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
  })
})

describe('a stage', () => {
  test('is applied last and undone first, also for what was sent before or by others', async () => {
    const { bus, Placed, got, consumer, until, raw } = await open({ stages: [reversed] })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    await bus.producer().send(Placed, { n: 1 })
    raw(
      JSON.stringify({ specversion: '1.0', id: 'e', source: 's', type: 'order.placed', data: { n: 2 } }),
      'application/cloudevents+json',
    )
    await until(() => got.length === 2)
    expect(got.map(({ data }) => data.n).sort()).toEqual([1, 2])
  })

  test('survives retry, dead letter and replay', async () => {
    const { bus, topic, Placed, got, consumer, until, letters } = await open({
      stages: [reversed],
      codec: kinds,
    })
    await consumer
      .on(Placed, (message) => {
        got.push(structuredClone(message))
        ;(message.data as { n: number }).n = 99
        if (got.length <= 3) throw new Error('not yet')
      })
      .start()
    await bus.producer().send(Placed, { n: 5 })
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]).toMatchObject({ reason: 'attempts-exhausted', message: { data: { n: 5 } } })
    await bus.group(topic, 'billing').deadLetters.replayAll()
    await until(() => got.length === 4)
    expect(got.map(({ data }) => data.n)).toEqual([5, 5, 5, 5])
  })

  test('that a reader does not have makes one dead letter that names it', async () => {
    const { bus, Placed, got, consumer, until, letters } = await open()
    await consumer.on(Placed, (message) => void got.push(message)).start()
    bus.native('memory').publishRaw('orders', {
      body: Buffer.from('x'),
      contentType: 'application/octet-stream',
      headers: { 'waybill-stages': 'reversed=a' },
    })
    await until(async () => (await letters()).length === 1)
    expect((await letters())[0]?.error?.message).toBe(
      'The body went through the stage "reversed", and it is not configured here; add it to the stages of the bus, the topic or the definition',
    )
    expect(got).toEqual([])
  })

  test('that needs a store that is away holds the message, shows it in health, and loses nothing', async () => {
    let isAway = true
    const stored: Stage = {
      ...reversed,
      undo: (body, note, message) => {
        if (isAway) throw new MessagingError('disconnected', 'The store is away', { retryable: true })
        return reversed.undo(body, note, message)
      },
    }
    const { bus, Placed, got, consumer, until, letters } = await open({ stages: [stored] }, { ordered: true })
    await consumer.on(Placed, (message) => void got.push(message)).start()
    for (const n of [1, 3, 5]) await bus.producer().send(Placed, { n })
    await until(async () => (await bus.health()).status === 'degraded')
    expect((await bus.health()).consumers[0]?.error?.message).toBe('The store is away')
    isAway = false
    await until(() => got.length === 3)
    expect(got.map(({ data }) => data.n)).toEqual([1, 3, 5])
    expect((await bus.health()).status).toBe('up')
    expect(await letters()).toEqual([])
  })

  test('that needs a store that is away sends when the store is back, within the timeout', async () => {
    let calls = 0
    const stored: Stage = {
      ...reversed,
      apply: (body, message) => {
        calls += 1
        if (calls === 1) throw new MessagingError('disconnected', 'The store is away', { retryable: true })
        return reversed.apply(body, message)
      },
    }
    const { bus, Placed } = await open({ stages: [stored] })
    await bus.producer().send(Placed, { n: 1 })
    expect(calls).toBe(2)
  })

  test('that hangs ends with the timeout, and what follows of its key is sent', async () => {
    const hanging: Stage = {
      ...reversed,
      apply: (body, message) =>
        Buffer.from(body).includes('hangs') ? new Promise(() => {}) : reversed.apply(body, message),
    }
    const { bus, topic } = await open({ stages: [hanging] }, { ordered: true })
    const Plain = defineMessage(topic, 'plain', { schema: z.string(), key: () => 'k' })
    const producer = bus.producer()
    const first = producer.send(Plain, 'hangs', { timeout: 100 })
    const second = producer.send(Plain, 'goes')
    await expect(first).rejects.toMatchObject({ code: 'timeout', fate: 'not-sent' })
    await expect(second).resolves.toMatchObject({ data: 'goes' })
  })

  test('is told once the group is done', async () => {
    const done: unknown[] = []
    const kept: Stage = {
      ...reversed,
      done: async (note, { topic, group }) => void done.push([note, topic, group]),
    }
    const { bus, Placed, consumer, until } = await open({ stages: [kept] })
    await consumer.on(Placed, () => {}).start()
    await bus.producer().send(Placed, { n: 1 })
    await until(() => done.length === 1)
    expect(done).toEqual([['a;b=c', 'orders', 'billing']])
  })
})
