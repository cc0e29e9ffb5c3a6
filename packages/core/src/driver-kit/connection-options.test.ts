import { expect, test } from 'vitest'
import { z } from 'zod'
import { parseBrokerUrl } from '../driver/broker-url.ts'
import { ConfigurationError } from '../lib/errors.ts'
import { asFlag, asNumber, asText, parseConnectionOptions } from './connection-options.ts'
import { durationOption } from './duration-option.ts'

const schema = z.strictObject({
  username: z.string().optional(),
  prefix: z.string().default('none'),
  polls: z.int().min(1).default(10),
  cluster: z.boolean().default(false),
  timeout: durationOption({ min: 1, max: 60_000 }).default(5000),
  limits: z.strictObject({ bytes: z.int() }).optional(),
})

function parse(url: string, native?: unknown) {
  const parsed = parseBrokerUrl(url)
  return parseConnectionOptions({
    adapter: 'nats',
    url: parsed,
    native,
    schema,
    query: {
      prefix: asText,
      polls: asNumber,
      cluster: asFlag,
      timeout: asText,
      wait: { option: 'timeout', read: asText },
      elsewhere: () => undefined,
    },
    fromUrl: { username: parsed.username },
  })
}

function problems(run: () => unknown): readonly { readonly path: string; readonly message: string }[] {
  try {
    run()
    return []
  } catch (error) {
    if (error instanceof ConfigurationError) return error.issues
    throw error
  }
}

test('query, user and native options are one', () => {
  expect(
    parse('nats://me:secret@host?polls=3&cluster=true&wait=2s&elsewhere=1', { limits: { bytes: 7 } }),
  ).toEqual({
    username: 'me',
    prefix: 'none',
    polls: 3,
    cluster: true,
    timeout: 2000,
    limits: { bytes: 7 },
  })
})

test('every problem is listed, each where it was written', () => {
  const found = problems(() =>
    parse('nats://host?polls=many&cluster=yes&nosuch=1', {
      timeout: '5 minutes',
      limits: { bytes: 'x' },
      tyop: 1,
    }),
  )
  expect(found.map(({ path }) => path).sort()).toEqual([
    'native.nats',
    'native.nats.limits.bytes',
    'native.nats.timeout',
    'url?cluster',
    'url?nosuch',
    'url?polls',
  ])
})

test('an option that is given twice is refused, and both places are named', () => {
  expect(problems(() => parse('nats://me@host?polls=3', { polls: 3, username: 'you' }))).toEqual([
    { path: 'native.nats.polls', message: 'also given as url?polls; give it once' },
    { path: 'native.nats.username', message: 'also given as url; give it once' },
  ])
  expect(problems(() => parse('nats://host?timeout=1s&wait=1s')).map(({ path }) => path)).toEqual([
    'url?wait',
  ])
})

test('native options must be an object', () => {
  for (const native of [null, 'text', []]) {
    expect(problems(() => parse('nats://host', native)).map(({ path }) => path)).toContain('native.nats')
  }
})

test('parameters that only look like members of every object are unknown', () => {
  expect(problems(() => parse('nats://host?constructor=1')).map(({ path }) => path)).toEqual([
    'url?constructor',
  ])
})
