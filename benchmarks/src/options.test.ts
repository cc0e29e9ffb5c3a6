import { expect, test } from 'vitest'
import { parseOptions, UsageError } from './options.ts'

test('by default all works on all brokers, in five rounds', () => {
  expect(parseOptions([])).toMatchObject({
    brokers: ['rabbitmq', 'kafka', 'redis', 'sqs'],
    works: ['a', 'b', 'c', 'd', 'e', 'g', 'h'],
    rounds: 5,
  })
})

test('(f) is read during (a) and (b)', () => {
  expect(parseOptions(['--work', 'f,a'])).toMatchObject({ works: ['a', 'b'] })
})

test.each([
  [['--broker', 'rabbit'], /Unknown broker: rabbit/],
  [['--work', 'a,x'], /Unknown work: x/],
  [['--contenders', 'plain,fast'], /Unknown contender: fast/],
  [['--rounds', '0'], /--rounds takes a positive whole number, not "0"/],
  [['--fast'], /--fast/],
])('%s is refused', (args, message) => {
  expect(() => parseOptions(args)).toThrow(UsageError)
  expect(() => parseOptions(args)).toThrow(message)
})
