import { setTimeout } from 'node:timers/promises'
import { type Bus, connect, defineMessage, defineTopic } from '@waybill/core'
import type { Codec, WireMessage } from '@waybill/core/codecs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { avro } from './avro.ts'
import { startRegistry } from './loopback-registry.ts'
import { avroRecords, proto, protoMessages } from './messages.ts'
import { protobufOf } from './protobuf.ts'

let registry: Awaited<ReturnType<typeof startRegistry>>
const buses: Bus[] = []
beforeAll(async () => {
  registry = await startRegistry()
})
afterEach(async () => {
  registry.setAway(false)
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
})
afterAll(() => registry.close())

async function open(codec: Codec) {
  const bus = await connect({ url: 'memory:', console: false })
  buses.push(bus)
  const topic = defineTopic('orders', { groups: ['billing'], codec })
  const Placed = defineMessage(topic, 'order.placed', { schema: z.looseObject({}) })
  const got: unknown[] = []
  const consume = () =>
    bus
      .consumer('billing')
      .on(Placed, ({ data }) => void got.push(data))
      .start()
  const letters = async () => {
    const found = []
    for await (const letter of bus.group(topic, 'billing').deadLetters.list()) found.push(letter)
    return found
  }
  return { bus, Placed, got, consume, letters }
}

async function until(met: () => boolean | Promise<boolean>) {
  for (let tries = 0; !(await met()); tries += 1) {
    if (tries > 2000) throw new Error('Not in time')
    await setTimeout(5)
  }
}

const wire = (body: Uint8Array, contentType?: string): WireMessage => {
  return { body, contentType, headers: {}, topic: 'orders', key: undefined, subject: undefined }
}
const encoded = async (codec: Codec, data: unknown) => {
  const metadata = { source: 'shop' }
  const message = { id: 'i', type: 'order.placed', version: 1, timestamp: new Date(), data, metadata }
  return (await codec.encode?.(message)) ?? expect.fail('it does not encode')
}

describe('Avro', () => {
  const make = (records = avroRecords) => avro({ registryUrl: registry.url, records })
  const order = { orderId: 'o-1', total: 42, note: null }

  test('travels with Confluent’s five bytes in front, and is read by the schema it was written with', async () => {
    const { bus, Placed, got, consume } = await open(make())
    await consume()
    await bus.producer().send(Placed, order)
    await until(() => got.length === 1)
    expect(got).toEqual([order])
    const { body } = await encoded(make(), order)
    expect(Buffer.from(body).subarray(0, 5).toString('hex')).toBe('0000000001')
    // Without a record of its own the type is the record's name; others' messages have no content type.
    expect(await make({}).decode(wire(body))).toMatchObject({ type: 'shop.OrderPlaced', data: order })
  })

  test('that does not fit its schema is not sent', async () => {
    const { bus, Placed } = await open(make())
    const sent = bus.producer().send(Placed, { orderId: 1 })
    await expect(sent).rejects.toMatchObject({ code: 'invalid-message', fate: 'not-sent' })
  })

  test('waits for a registry that is away, and loses nothing', async () => {
    const { body } = await encoded(make(), order)
    const { bus, got, consume, letters } = await open(make())
    registry.setAway(true)
    await consume()
    bus.native('memory').publishRaw('orders', { body })
    await until(async () => (await bus.health()).status === 'degraded')
    registry.setAway(false)
    await until(() => got.length === 1)
    expect(await letters()).toEqual([])
  })

  test('of a schema that nobody knows, or cut off, is a dead letter', async () => {
    const { body } = await encoded(make(), order)
    const { bus, consume, letters } = await open(make())
    await consume()
    for (const broken of [Buffer.from([0, 0, 0, 0, 99, 1]), Buffer.from(body).subarray(0, 8)])
      bus.native('memory').publishRaw('orders', { body: broken })
    await until(async () => (await letters()).length === 2)
    expect((await letters()).map(({ reason }) => reason)).toEqual(['undecodable', 'undecodable'])
  })

  test('leaves other bodies to others', async () => {
    for (const body of ['', '{}', '\0\0\0'])
      expect(await make().decode(wire(Buffer.from(body)))).toBeUndefined()
    expect(await make().decode(wire(Buffer.alloc(9), 'application/json'))).toBeUndefined()
  })
})

describe('Protobuf', () => {
  const codec = protobufOf({ proto, messages: protoMessages })

  test('carries bytes and 64-bit integers', async () => {
    const { bus, Placed, got, consume } = await open(codec)
    await consume()
    const order = { orderId: 'o-1', total: 42, customer: '9007199254740993', signature: Buffer.of(0, 255) }
    await bus.producer().send(Placed, order)
    await until(() => got.length === 1)
    expect(got).toEqual([order])
  })

  test('says in its content type which message it is', async () => {
    const { body, contentType } = await encoded(codec, { orderId: 'o-1' })
    expect(contentType).toBe('application/x-protobuf; messageType="shop.OrderPlaced"')
    expect(await codec.decode(wire(body, contentType))).toMatchObject({
      type: 'order.placed',
      data: { orderId: 'o-1' },
    })
    expect(() => codec.decode(wire(Buffer.of(0xff), contentType))).toThrow()
  })

  test.each([undefined, 'application/json', 'application/x-protobuf; messageType="shop.Other"'])(
    'leaves %s to others',
    async (contentType) =>
      expect(await codec.decode(wire(Buffer.of(10, 1, 97), contentType))).toBeUndefined(),
  )

  test('fails at once when the .proto lacks a message', () => {
    expect(() => protobufOf({ proto, messages: { 'order.paid': 'shop.OrderPaid' } })).toThrow(
      'shop.OrderPaid',
    )
  })
})
