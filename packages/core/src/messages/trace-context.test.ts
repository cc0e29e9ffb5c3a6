import { describe, expect, test } from 'vitest'
import { isTraceparent, isTracestate } from './trace-context.ts'

const trace = '0af7651916cd43dd8448eb211c80319c'
const span = 'b7ad6b7169203331'

describe('a traceparent', () => {
  test.each([
    `00-${trace}-${span}-01`,
    `00-${trace}-${span}-00`,
    `cc-${trace}-${span}-01-what-the-future-adds`,
  ])('may be %s', (text) => expect(isTraceparent(text)).toBe(true))

  test.each([
    '',
    'yes',
    `ff-${trace}-${span}-01`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span}-01-more`,
    `00-${trace}-${span}-1`,
    ` 00-${trace}-${span}-01`,
    `00-${trace}-${span}-01\n`,
  ])('may not be "%s"', (text) => expect(isTraceparent(text)).toBe(false))
})

describe('a tracestate', () => {
  test.each([
    'vendor=value',
    'a=1,b=2',
    'a=1 , b=2',
    'a=1,,b=2',
    'tenant@system=x',
    `a=${'x'.repeat(256)}`,
    Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(','),
  ])('may be %s', (text) => expect(isTracestate(text)).toBe(true))

  test.each([
    '',
    ' ',
    'no value',
    'a=',
    'A=1',
    'a=1=2',
    'a=1,a=2',
    'a=ü',
    'a=1\nb=2',
    `a=${'x'.repeat(257)}`,
    Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(','),
  ])('may not be "%s"', (text) => expect(isTracestate(text)).toBe(false))
})
