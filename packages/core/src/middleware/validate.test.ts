import { expect, test } from 'vitest'
import { z } from 'zod'
import { ConfigurationError } from '../lib/errors.ts'
import { handling } from './handling.fixture.ts'
import { validate } from './validate.ts'

const small = z.object({ n: z.number().max(5) })

test.each([
  ['for all messages', small],
  ['for a type', { 'order.placed': small }],
  ['for a pattern', { 'order.*': small }],
  ['for the first that fits', { 'order.placed': small, '#': z.never() }],
])('data that does not fit the schema %s is a dead letter at once', async (_, schemas) => {
  const seen: number[] = []
  await using billing = await handling(
    () => validate(schemas),
    ({ data }) => seen.push(data.n),
  )
  await billing.send(3, { id: 'm' })
  await billing.send(9)
  await billing.settled()
  expect(seen).toEqual([3])
  expect(billing.heard.toSorted()).toEqual([
    expect.stringMatching(/^dead, permanent: The data of order.placed does not fit its schema: n: /),
    'handled m',
  ])
})

test('types without a schema pass', async () => {
  await using billing = await handling(
    () => validate({ 'order.paid': z.never() }),
    () => {},
  )
  await billing.send(9, { id: 'm' })
  await billing.settled()
  expect(billing.heard).toEqual(['handled m'])
})

test('schemas may be asynchronous, and those that throw fail the attempt', async () => {
  const later = z.object({ n: z.number() }).refine(async ({ n }) => n < 5, 'too many')
  await using billing = await handling(
    () => validate(later),
    () => {},
  )
  await billing.send(9)
  await billing.settled()
  expect(billing.heard).toEqual([expect.stringMatching(/^dead, permanent: .*data: too many$/)])
  const throwing = {
    '~standard': {
      version: 1,
      vendor: 'ours',
      validate: () => {
        throw new Error('no dictionary')
      },
    },
  } as const
  await using other = await handling(
    () => validate(throwing),
    () => {},
  )
  await other.send(1)
  await other.settled()
  expect(other.heard).toEqual(['retried: no dictionary'])
})

test.each([undefined, 7, { 'order.placed': {} }, { 'no type': small }])('%j is refused', (schemas) => {
  // @ts-expect-error: what a caller without types can do
  expect(() => validate(schemas)).toThrow(ConfigurationError)
})
