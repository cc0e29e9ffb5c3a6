import { expect, test, vi } from 'vitest'
import { ConfigurationError, SkipMessage } from '../lib/errors.ts'
import { handling } from './handling.fixture.ts'
import { type Logger, type LogOptions, log } from './log.ts'

function recorder(extra: object = {}) {
  const lines: unknown[][] = []
  const at =
    (level: string) =>
    (...line: unknown[]) =>
      lines.push([level, ...line])
  const logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    ...extra,
  } satisfies Logger
  return { lines, logger }
}

const names = { topic: 'orders', group: 'billing', type: 'order.placed', id: 'm', attempt: 1, deliveries: 1 }

async function handled(
  logger: Logger,
  options: LogOptions = {},
  handle: () => unknown = () => {},
): Promise<readonly string[]> {
  await using billing = await handling((clock) => log(logger, { clock, ...options }), handle)
  await billing.send(42, { id: 'm' })
  await billing.clock.advance('1s')
  return billing.heard
}

test('each attempt is a line when it begins and one when it ends, without its data', async () => {
  const { lines, logger } = recorder()
  await handled(logger)
  expect(lines).toEqual([
    ['debug', 'handling order.placed', names],
    ['info', 'handled order.placed', { ...names, durationMs: 0 }],
  ])
  expect(JSON.stringify(lines)).not.toContain('42')
})

test('a failure says what it failed with, and stays one', async () => {
  const { lines, logger } = recorder()
  const fail = () => {
    throw new Error('no funds')
  }
  expect(await handled(logger, { begin: false }, fail)).toEqual([
    'retried: no funds',
    'dead, attempts-exhausted: no funds',
  ])
  const error = { name: 'Error', message: 'no funds' }
  expect(lines).toEqual([
    ['warn', 'failed to handle order.placed', { ...names, durationMs: 0, error }],
    ['warn', 'failed to handle order.placed', { ...names, attempt: 2, durationMs: 0, error }],
  ])
})

test('a message that is skipped has not failed', async () => {
  const { lines, logger } = recorder()
  const skip = () => {
    throw new SkipMessage('another tenant')
  }
  expect(await handled(logger, { begin: false }, skip)).toEqual(['skipped m: another tenant'])
  expect(lines).toEqual([
    ['info', 'skipped order.placed', { ...names, durationMs: 0, reason: 'another tenant' }],
  ])
})

test('pino gets the fields first, and so does whoever is said to take them so', async () => {
  const pino = recorder({ bindings: () => ({}) })
  await handled(pino.logger, { begin: false })
  expect(pino.lines).toEqual([['info', { ...names, durationMs: 0 }, 'handled order.placed']])
  const other = recorder()
  await handled(other.logger, { begin: false, order: 'fields-first' })
  expect(other.lines).toEqual(pino.lines)
})

test('levels can be chosen, and fields added', async () => {
  const { lines, logger } = recorder()
  await handled(logger, { begin: 'info', end: false, fields: ({ data }) => ({ data }) })
  expect(lines).toEqual([['info', 'handling order.placed', { ...names, data: { n: 42 } }]])
})

test('a logger that throws changes nothing for the message', async () => {
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const broken = () => {
    throw new Error('the disk is full')
  }
  const { logger } = recorder({ debug: broken, info: broken })
  expect(await handled(logger, { fields: broken })).toEqual(['handled m'])
  expect(warnings.mock.calls.map(([text]) => text)).toEqual(
    Array.from({ length: 3 }, () => 'The log middleware could not log: the disk is full'),
  )
  warnings.mockRestore()
})

test('the console is a logger', () => {
  log(console)
  // @ts-expect-error: it has no levels
  expect(() => log({ log: () => {} })).toThrow(ConfigurationError)
  // @ts-expect-error: no such level
  expect(() => log(console, { begin: 'trace' })).toThrow(ConfigurationError)
})
