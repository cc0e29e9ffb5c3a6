import type { MessageToEncode } from './produce-request.ts'

/** Records that differ in what can be absent, empty or long in one. */
export const records: Readonly<Record<string, MessageToEncode>> = {
  'a tombstone': { key: 'k', value: null },
  'no key and no headers': { key: null, value: Buffer.from('x') },
  'an empty value': { key: '', value: Buffer.alloc(0), headers: {} },
  'headers of all kinds': {
    key: Buffer.from([0, 255]),
    value: Buffer.alloc(70_000, 7),
    headers: {
      text: 'Ærø 🏝',
      bytes: Buffer.from([1, 2]),
      both: ['a', Buffer.from('b'), 'c'],
      ключ: 'x',
      empty: '',
      long: 'v'.repeat(1000),
    },
  },
  'many headers': {
    key: 'k',
    value: 'text',
    headers: Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`h${index}`, 'v'.repeat(index)])),
  },
}
