import { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { ChannelModel } from 'amqplib'
import { expect, test } from 'vitest'
import { encodeMessages } from './encode-messages.ts'

const load = createRequire(import.meta.url)
const { Connection }: { readonly Connection: { readonly prototype: { readonly sendMessage: unknown } } } =
  load(join(dirname(load.resolve('amqplib')), 'lib', 'connection.js'))

/** A connection that sends as given. */
function modelOf(sendMessage: unknown): ChannelModel {
  const connection = { sendMessage, channels: [], frameMax: 131_072 }
  return Object.assign(new EventEmitter(), { connection }) as unknown as ChannelModel
}

test('messages are put into frames by us where amqplib writes the same bytes', () => {
  const model = modelOf(Connection.prototype.sendMessage)
  expect(encodeMessages(model)).toBe(true)
  expect(model.connection).not.toHaveProperty('sendMessage', Connection.prototype.sendMessage)
})

test.each([
  ['writes other bytes', () => true],
  [
    'throws',
    () => {
      throw new TypeError('not as it was')
    },
  ],
  ['has no such function', undefined],
])('amqplib is left alone, and it is said, where it %s', (_, sendMessage) => {
  const model = modelOf(sendMessage)
  expect(encodeMessages(model)).toBe(false)
  expect(model.connection).toHaveProperty('sendMessage', sendMessage)
})
