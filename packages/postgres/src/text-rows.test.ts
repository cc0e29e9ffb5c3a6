import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { textRowParameters, textRows } from './text-rows.ts'

const from = textRows(1, ['number', 'text'])

let pglite: PGlite
beforeAll(async () => {
  pglite = await PGlite.create()
}, 60_000)
afterAll(() => pglite.close())

test.each<[string, readonly (string | null)[]]>([
  ['usual texts', ['plain', 'a "quoted" one', 'back\\slash and \\n', '{"a":"\\"b, {}"}', ' blanks ', 'ü 😀']],
  ['control characters', ['line\nbreak', 'tab\t', '\u0001']],
  ['empty texts', ['', '']],
  ['texts that are none', ['null', null, '', null]],
  ['only texts that are none', [null, null]],
  ['the separator', ['a\u001fb', '\u001f', null]],
  ['the mark of what is none', ['\u001e', null, 'a\u001e']],
])('rows with %s are read as they were', async (_, texts) => {
  const numbers = texts.map((_text, index) => (index === 1 ? null : index - 1))
  const { rows } = await pglite.query<{ number: number | null; text: string | null }>(
    `SELECT number::integer, text FROM ${from} ORDER BY incoming.n`,
    [...textRowParameters([numbers, texts])],
  )
  expect(rows).toEqual(texts.map((text, index) => ({ number: numbers[index], text })))
})
