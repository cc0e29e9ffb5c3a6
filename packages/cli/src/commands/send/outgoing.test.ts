import { expect, test } from 'vitest'
import { parseOutgoing } from './outgoing.ts'

test('a line is the data of a message, with what the command says of all', () => {
  const defaults = { type: 'order.placed', keyField: 'order.id', delay: '5s' }
  expect(parseOutgoing('{"order":{"id":7}}', defaults, false)).toEqual({
    ...{ type: 'order.placed', version: undefined, data: { order: { id: 7 } } },
    options: { key: '7', delay: '5s' },
  })
  expect(() => parseOutgoing('{"order":{}}', defaults, false)).toThrow(/"order.id"/)
})

test('an envelope wins over the command, and what tail printed is one', () => {
  const printed = {
    ...{ id: 'o-1', type: 'order.paid', version: 2, timestamp: '2026-01-31T08:00:00.000Z', key: null },
    ...{ expiresAt: null, metadata: { source: 'shop', correlationId: 'c-1', tenant: 'acme' }, data: [1] },
  }
  expect(parseOutgoing(JSON.stringify(printed), { type: 'order.placed', key: 'k' }, true)).toEqual({
    ...{ type: 'order.paid', version: 2, data: [1] },
    options: { id: 'o-1', key: 'k', correlationId: 'c-1', metadata: { tenant: 'acme' } },
  })
})

test.each([
  ['no', /no JSON/],
  ['{"type":"a"}', /data/],
  ['{"data":1,"colour":"red"}', /colour/],
  ['{"data":1,"expiresAt":"2020-01-01T00:00:00Z"}', /expired/],
])('%s is refused', (text, message) => {
  expect(() => parseOutgoing(text, { type: 'a' }, true)).toThrow(message)
})
