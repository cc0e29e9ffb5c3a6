import { headerNames } from '@waybill/core/driver'
import { expect, test } from 'vitest'
import { encode } from '../wire/messages.ts'
import { shortened, truncated, truncatedHeader } from './fitting.ts'

const most = 4096
const record = {
  [headerNames.reason]: 'retries-exhausted',
  [headerNames.errorMessage]: 'm'.repeat(500),
  [headerNames.errorStack]: 's'.repeat(2000),
}
const of = (length: number, fill = 'x') => ({
  body: Buffer.from(fill.repeat(length)),
  contentType: 'text/plain',
  headers: record,
})

test('what fits stays as it is', () => {
  expect(truncated(of(100), most)).toEqual(of(100))
})

test('the failure record gives way first, and the body stays whole', () => {
  const letter = truncated(of(3000), most)
  expect(letter.body.byteLength).toBe(3000)
  expect(letter.headers[headerNames.errorStack]).toBeUndefined()
  expect(letter.headers[headerNames.reason]).toBe('retries-exhausted')
  expect(shortened(of(3000), most)).toEqual(letter)
})

test.each(['x', 'ä', '😀', '\u0000'])(
  'a body of %j that leaves no room is cut, which is recorded',
  (fill) => {
    const source = of(most, fill)
    const letter = truncated(source, most)
    expect(encode(letter).bytes).toBeLessThanOrEqual(most)
    expect(letter.body.byteLength).toBeGreaterThan(most / 4)
    expect(Buffer.from(source.body).indexOf(letter.body)).toBe(0)
    expect(Buffer.from(letter.body).toString().endsWith('\uFFFD')).toBe(false)
    expect(letter.headers[truncatedHeader]).toContain(`from ${source.body.byteLength}`)
    expect(letter.headers[headerNames.errorMessage]).toContain('The body was cut')
  },
)
