import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test, vi } from 'vitest'
import { createLogger, format, transports } from 'winston'
import { z } from 'zod'
import { connect } from '../bus/connect.ts'
import { stubAdapter, stubDriver } from '../driver/stub-driver.fixture.ts'
import { PermanentError } from '../lib/errors.ts'
import { defineMessage } from '../messages/definition.ts'
import { defineTopic } from '../messages/topic.ts'
import { type Logger, logEvents } from './log-events.ts'

const orders = defineTopic('orders', { groups: ['billing'] })
const Placed = defineMessage(orders, 'order.placed', { schema: z.object({ card: z.string() }) })

/** JSON lines, as they are written. */
function lines() {
  const written: Record<string, unknown>[] = []
  const stream = new Writable({
    write: (chunk, _, done) => {
      for (const line of String(chunk).trim().split('\n')) written.push(JSON.parse(line))
      done()
    },
  })
  return { written, stream }
}

async function deadLetter(logger: Logger, options = {}) {
  await using bus = await connect({ url: 'memory:' })
  logEvents(bus, logger, options)
  const dead = new Promise((resolve) => bus.on('handled', resolve).on('deadLettered', resolve))
  const fail = () => Promise.reject(new PermanentError('The card was refused'))
  await bus.consumer('billing').on(Placed, fail).start()
  const { id } = await bus.producer().send(Placed, { card: 'secret' })
  await dead
  return id
}

test('pino gets fields first, and serializes the error', async () => {
  const { written, stream } = lines()
  const id = await deadLetter(pino(stream))
  expect(written).toEqual([
    expect.objectContaining({
      level: 50,
      event: 'deadLettered',
      topic: 'orders',
      group: 'billing',
      type: 'order.placed',
      id,
      attempt: 1,
      reason: 'permanent',
      msg: expect.stringMatching(/^Dead-lettered \(permanent\): order\.placed/),
      err: expect.objectContaining({ message: 'The card was refused', stack: expect.any(String) }),
    }),
  ])
})

test('winston gets the text first, with the error as plain fields', async () => {
  const { written, stream } = lines()
  const id = await deadLetter(
    createLogger({ format: format.json(), transports: [new transports.Stream({ stream })] }),
  )
  expect(written).toEqual([
    expect.objectContaining({
      level: 'error',
      message: expect.stringMatching(/^Dead-lettered/),
      id,
      error: expect.objectContaining({ message: 'The card was refused' }),
    }),
  ])
})

test('winston writes the text of a warning once', async () => {
  const { written, stream } = lines()
  const adapter = stubAdapter(stubDriver)
  const bus = await connect({ url: 'stub:', adapter })
  const transport = new transports.Stream({ stream })
  logEvents(bus, createLogger({ format: format.json(), transports: [transport] }))
  adapter.contexts[0]?.emit({ type: 'warning', message: 'The broker is old' })
  expect(written).toEqual([{ level: 'warn', event: 'warning', message: 'The broker is old' }])
})

test('bodies are never written, and what is logged is not told to the console as well', async () => {
  const spies = (['debug', 'info', 'warn', 'error'] as const).map((level) =>
    vi.spyOn(console, level).mockImplementation(() => {}),
  )
  await deadLetter(console, { level: 'debug' })
  const calls = spies.flatMap(({ mock }) => mock.calls)
  vi.restoreAllMocks()
  expect(calls.map(([text]) => String(text).split(/[ (]/)[0])).toEqual(['Sent:', 'Dead-lettered'])
  expect(JSON.stringify(calls)).not.toContain('secret')
})

test('the result ends it', async () => {
  const { written, stream } = lines()
  await using bus = await connect({ url: 'memory:', console: false })
  const end = logEvents(bus, pino({ level: 'debug' }, stream), { level: 'debug' })
  await bus.producer().send(Placed, { card: '1' })
  end()
  await bus.producer().send(Placed, { card: '2' })
  expect(written).toHaveLength(1)
})

test('what is no logger, and wrong options, are refused', async () => {
  await using bus = await connect({ url: 'memory:' })
  const log = (...args: unknown[]) => Reflect.apply(logEvents, undefined, [bus, ...args])
  expect(() => log({ info: () => {} })).toThrow(/expected a logger with debug, info, warn, error/)
  expect(() => log(console, { level: 'trace', first: 'both' })).toThrow(/level.*first/s)
})
