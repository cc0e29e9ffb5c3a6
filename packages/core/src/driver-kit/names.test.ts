import { expect, test } from 'vitest'
import { brokerName } from './names.ts'

const rules = {
  joint: '_',
  isPlain: (part: string) => /^[A-Za-z0-9-]+$/.test(part),
  clean: (part: string) => part.replaceAll(/[^A-Za-z0-9-]/g, '-'),
  maxLength: 40,
}

test('plain names stay as they are', () => {
  expect(brokerName(['orders', 'billing'], { ...rules, prefix: 'dev-', suffix: '.fifo' })).toBe(
    'dev-orders_billing.fifo',
  )
})

test('names that would look alike are told apart', () => {
  const names = [
    brokerName(['a_b', 'c'], rules),
    brokerName(['a', 'b_c'], rules),
    brokerName(['a.b', 'c'], rules),
    brokerName(['a-b', 'c'], rules),
  ]
  expect(new Set(names).size).toBe(names.length)
})

test('long names fit, begin alike whatever their suffix, and differ where their ends do', () => {
  const long = 'x'.repeat(60)
  const one = brokerName([long, 'a'], { ...rules, suffixRoom: 5 })
  const dead = brokerName([long, 'a'], { ...rules, suffixRoom: 5, suffix: '_dead' })
  const other = brokerName([long, 'b'], rules)
  expect(dead).toBe(`${one}_dead`)
  expect(dead.length).toBe(40)
  expect(other).not.toBe(brokerName([long, 'a'], rules))
})
