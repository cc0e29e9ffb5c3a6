import { ConfigurationError } from '@waybill/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineJob } from './definition.ts'

test('every problem of a definition is told at once', () => {
  const options = {
    input: z.object({}),
    retry: { attempts: 0, backoff: 5 },
    rateLimit: { max: 0, per: 'soon', store: {} },
    concurrency: 0,
  }
  let thrown: unknown
  try {
    // @ts-expect-error: what the compiler would refuse.
    defineJob('no name', options)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(ConfigurationError)
  expect((thrown as ConfigurationError).issues.map(({ path }) => path).sort()).toEqual([
    'concurrency',
    'name',
    'rateLimit.max',
    'rateLimit.per',
    'rateLimit.store',
    'retry.attempts',
    'retry.backoff',
  ])
})
