import { expect, test } from 'vitest'
import { readReplyAddress, writeReplyAddress } from './reply-address.ts'

test.each(['r-1', 'a/b c', '%', 'Bestellung №1 – größer', 'x'.repeat(256)])(
  'an address brings back its inbox and the id %j',
  (id) => {
    const header = writeReplyAddress('inbox-1', id)
    expect(header).toMatch(/^[\x21-\x7e]+$/)
    expect(readReplyAddress(header)).toEqual({ inbox: 'inbox-1', id })
  },
)

test('an address may name the inbox alone', () => {
  expect(readReplyAddress('inbox-1')).toEqual({ inbox: 'inbox-1', id: undefined })
})

test.each([undefined, '', '/', 'inbox.1/a', '#/a', 'inbox/', 'inbox/a/b', 'inbox/%', 'x'.repeat(65)])(
  '%j is no address',
  (header) => expect(readReplyAddress(header)).toBeUndefined(),
)
