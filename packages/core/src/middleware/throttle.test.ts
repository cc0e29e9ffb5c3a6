import { expect, test } from 'vitest'
import { ConfigurationError } from '../lib/errors.ts'
import { handling } from './handling.fixture.ts'
import { throttle } from './throttle.ts'
import { timeout } from './timeout.ts'

test('calls begin evenly, no more than so many in a time', async () => {
  const times: number[] = []
  await using billing = await handling(
    (clock) => throttle({ max: 4, per: '1s', clock }),
    () => times.push(billing.clock.monotonic()),
  )
  for (let n = 0; n < 8; n += 1) await billing.send(n)
  await billing.clock.advance('10s')
  expect(times).toEqual([0, 250, 500, 750, 1000, 1250, 1500, 1750])
})

test('time in which nothing came is not made up for', async () => {
  const times: number[] = []
  await using billing = await handling(
    (clock) => throttle({ max: 1, per: '1s', clock }),
    () => times.push(billing.clock.monotonic()),
  )
  await billing.clock.advance('1m')
  await Promise.all([billing.send(1), billing.send(2)])
  await billing.clock.advance('1m')
  expect(times).toEqual([60_000, 61_000])
})

test('turns of calls that gave up waiting go to others', async () => {
  const times: number[] = []
  await using billing = await handling(
    (clock) => {
      const limit = timeout('90s', { clock })
      const spread = throttle({ max: 1, per: '1m', clock })
      return (context, next) => limit(context, () => spread(context, next))
    },
    () => times.push(billing.clock.monotonic()),
  )
  for (let n = 0; n < 10; n += 1) await billing.send(n)
  await billing.clock.advance('10m')
  await billing.send(10)
  await billing.clock.advance('1m')
  // Two before the time limit of the first attempts, two before that of the second ones, and the last one at once.
  expect(times).toEqual([0, 60_000, 120_000, 180_000, 600_000])
})

test('what waits when its consumer stops is not handled', async () => {
  let calls = 0
  const billing = await handling(
    (clock) => throttle({ max: 1, per: '1h', clock }),
    () => {
      calls += 1
    },
  )
  await Promise.all([billing.send(1), billing.send(2)])
  await billing.settled()
  await billing[Symbol.asyncDispose]()
  expect(calls).toBe(1)
})

test.each([
  { max: 0, per: '1s' },
  { max: 1, per: 0 },
  { max: 1 },
  { max: 1, per: '1s', burst: 3 },
  undefined,
])(
  'the options %j are refused',
  // @ts-expect-error: what a caller without types can do
  (options) => expect(() => throttle(options)).toThrow(ConfigurationError),
)
