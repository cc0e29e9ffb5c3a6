import assert from 'node:assert/strict'
import { fixed } from '@waybill/core'
import type { Case } from '../../case/case.ts'
import type { Administration } from './administration.ts'

/** As amqplib reads and writes values that JavaScript has no type for. */
const time = { '!': 'timestamp', value: 1_700_000_000 }

/** What another sender writes: binary mode of the AMQP binding, with every kind of value a table can hold. */
const foreign = {
  'cloudEvents:specversion': '1.0',
  'cloudEvents:id': 'event-1',
  'cloudEvents:source': '/elsewhere',
  'cloudEvents:type': 'number.sent',
  'cloudEvents:time': time,
  'cloudEvents:subject': null,
  'cloudEvents:dataschema': null,
  nothing: null,
  seen: time,
  price: { '!': 'decimal', value: { digits: 1995, places: 2 } },
  weight: 12.5,
  count: 7,
  urgent: true,
  bytes: Buffer.from([0xff, 0x00, 0x80]),
  address: { city: 'Århus', lines: ['a', { b: null }] },
  tags: ['one', 2, null],
}

export function foreignEvents(administration: Administration): readonly Case[] {
  return [
    {
      number: 148,
      title:
        'A CloudEvent of another AMQP client is read, and its headers stay what they were through a retry and as a dead letter',
      needs: ['restart'],
      async run(context) {
        const stage = await context.stage()
        const { topic, group } = stage
        const recorder = context.recorder()
        const retry = { attempts: 2, backoff: fixed(context.pace(50)) }
        await stage.consume(recorder, { retry }, () => {
          throw new Error('every attempt fails')
        })
        await administration.plainly(async (channel) => {
          const options = { contentType: 'application/json', persistent: true, headers: foreign }
          channel.publish(topic.name, 'number.sent', Buffer.from('{"n":1}'), options)
          // No CloudEvent: one dead letter, with AMQP's own properties.
          const plain = { messageId: 'plain-1', timestamp: 1_700_000_000, persistent: true }
          channel.publish(topic.name, 'number.sent', Buffer.from('{"n":2}'), plain)
          await channel.waitForConfirms()
        })
        const { deadLetters } = stage.bus.group(topic, group)
        await context.eventually('both are dead letters', async () => (await deadLetters.count()) === 2)
        const [event] = recorder.deliveries.filter(({ id }) => id === 'event-1')
        assert.ok(event, 'the event reached no handler')
        const { message } = event
        assert.equal(message.timestamp.getTime(), time.value * 1000)
        assert.equal(message.metadata.source, '/elsewhere')
        assert.equal(message.metadata.subject, undefined)
        assert.deepEqual(recorder.deliveries.map(({ id, attempt }) => `${id} ${attempt}`).sort(), [
          'event-1 1',
          'event-1 2',
        ])
        const dead = await administration.takeAll(`${topic.name}:${group}:dead`)
        const copy = dead.find(({ properties }) => properties.contentType === 'application/json')
        assert.equal(copy?.content.toString(), '{"n":1}')
        const headers = copy?.properties.headers ?? {}
        for (const [name, value] of Object.entries(foreign)) {
          assert.deepEqual(headers[name], value, `header ${name}`)
        }
        const plain = dead.find(({ properties }) => properties.messageId === 'plain-1')
        assert.equal(plain?.properties.timestamp, 1_700_000_000)
      },
    },
  ]
}
