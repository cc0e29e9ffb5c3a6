import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { connect } from '../bus/connect.ts'
import { defineMessage } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Stage } from '../messages/stage.ts'
import { defineTopic } from '../messages/topic.ts'
import { undecodedTopic } from '../messages/undecoded-codec.ts'
import type { UndecodedMessage } from '../messages/undecoded-message.ts'
import { sendUndecoded } from './send-undecoded.ts'

const reversed: Stage = {
  name: 'reversed',
  apply: (body) => ({ body: body.toReversed() }),
  undo: (body) => body.toReversed(),
}
const topic = defineTopic('orders', { groups: ['copy', 'billing'] })
const Placed = defineMessage(topic, 'order.placed', { schema: z.object({ n: z.number() }) })

const buses: Bus[] = []
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close({ timeout: 0 })
})

async function open(url: string, options = {}): Promise<Bus> {
  const bus = await connect({ url, console: false, topics: [topic], ...options })
  buses.push(bus)
  return bus
}

const isUndecoded = (message: Message): message is Message<UndecodedMessage> => message.type !== ''

/** Copies everything from one memory broker to another, and resolves with what came. */
async function copied(count: number): Promise<Message<UndecodedMessage>[]> {
  const [source, target] = [await open('memory:source'), await open('memory:target')]
  const messages: Message<UndecodedMessage>[] = []
  const done = Promise.withResolvers<void>()
  const consumer = source.consumer('copy').on(undecodedTopic(topic), '#', async (message) => {
    if (!isUndecoded(message)) return
    messages.push(message)
    await sendUndecoded(target.producer(), undecodedTopic(topic, topic.groups), message)
    if (messages.length === count) done.resolve()
  })
  await consumer.start()
  await done.promise
  await consumer.stop()
  return messages
}

test('messages that are encrypted, expire, or are no events arrive at another broker as they were sent', async () => {
  const sending = await open('memory:source', { stages: [reversed] })
  const reading = await open('memory:target', { stages: [reversed] })
  const options = { metadata: { tenant: 'acme' }, expiresIn: '1h' as const, priority: 7 }
  const sent = await sending.producer({ source: 'shop' }).send(Placed, { n: 1 }, options)
  sending.native('memory').publishRaw('orders', { body: Buffer.from([0, 255]) })
  const [first, foreign] = await copied(2)
  expect(Buffer.from(first?.data.body ?? []).toString()).not.toContain('order.placed')
  expect(first).toMatchObject({ id: sent.id, type: 'order.placed', expiresAt: sent.expiresAt })
  expect(foreign).toMatchObject({ type: 'untyped', data: { contentType: undefined } })
  const got: Message[] = []
  const [handled, dead] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  reading.on('handled', () => handled.resolve()).on('deadLettered', () => dead.resolve())
  await reading
    .consumer('billing')
    .on(Placed, (message) => void got.push(message))
    .start()
  await Promise.all([handled.promise, dead.promise])
  expect(got).toEqual([{ ...sent, metadata: { ...sent.metadata, tenant: 'acme' } }])
  const letters = await reading.group(topic, 'billing').deadLetters.list().next()
  expect([...(letters.value?.body ?? [])]).toEqual([0, 255])
  expect(letters.value?.headers).toMatchObject({ 'waybill-id': foreign?.id })
})
