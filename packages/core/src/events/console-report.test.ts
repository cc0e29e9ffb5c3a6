import { format, inspect } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { connect } from '../bus/connect.ts'
import { stubDriver } from '../driver/stub-driver.fixture.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { ConsoleReport } from './console-report.ts'
import { BusEmitter } from './events.ts'

afterEach(() => vi.restoreAllMocks())

function written() {
  const lines: string[] = []
  const note = (text: unknown) => lines.push(String(text))
  vi.spyOn(console, 'warn').mockImplementation(note)
  vi.spyOn(console, 'error').mockImplementation(note)
  return lines
}

const delivery = { topic: 'orders', group: 'billing', attempt: 1, deliveries: 1, message: undefined }
const failure = (message: string) => ({ what: 'settling', error: new MessagingError('failed', message) })

test('a failure that nobody listens to is written once, another one too', () => {
  const lines = written()
  const events = new BusEmitter(new ConsoleReport().tell)
  for (const message of ['one', 'one', 'two']) events.emit('failure', failure(message))
  for (const message of ['boom', 'boom'])
    events.emit('retried', { ...delivery, delayMs: 1000, error: new Error(message) })
  expect(lines).toEqual([
    expect.stringMatching(/^\[waybill\] Failed: settling: one\..*bus\.on\('failure'/),
    expect.stringMatching(/settling: two/),
    expect.stringMatching(
      /will be retried in 1000 ms: a message of topic orders in group billing, attempt 1/,
    ),
  ])
})

test('what somebody listens to is theirs', () => {
  const lines = written()
  const events = new BusEmitter(new ConsoleReport().tell)
  events.on('failure', () => {})
  events.emit('failure', failure('one'))
  events.emit('lost', delivery)
  expect(lines).toEqual([expect.stringMatching(/No longer ours/)])
})

test('what is no failure is not written', () => {
  const lines = written()
  const events = new BusEmitter(new ConsoleReport().tell)
  events.emit('connected', {})
  events.emit('expired', delivery)
  events.emit('duplicate', { ...delivery, state: 'done' })
  expect(lines).toEqual([])
})

test('what never ends being new is bounded, and writes on', () => {
  const lines = written()
  const events = new BusEmitter(new ConsoleReport().tell)
  for (let n = 0; n < 1000; n += 1) events.emit('failure', failure(`${n}`))
  events.emit('failure', failure('999'))
  expect(lines).toHaveLength(1000)
})

test.each([
  [undefined, 1],
  [true, 1],
  [false, 0],
])('a bus with console: %s writes %s of them', async (option, count) => {
  const lines = written()
  const driver = stubDriver({ close: () => Promise.reject(new Error('no')) })
  const adapter = {
    name: 'stub',
    schemes: ['stub'],
    contractVersion: 1,
    connect: async () => driver,
  }
  const bus = await connect({
    url: 'stub:',
    adapter,
    ...(option !== undefined && { console: option }),
  })
  await bus.close()
  expect(lines).toHaveLength(count)
})

test.each([
  ['its message', Object.defineProperty(new Error('x'), 'message', { get: () => fail() })],
  ['a message that is no text', Object.assign(new Error('x'), { message: Symbol('m') })],
  ['its way to be inspected', Object.assign(new Error('x'), { [inspect.custom]: () => fail() })],
  ['its cause', new Error('x', { cause: { [inspect.custom]: () => fail() } })],
])('an error that throws when it is looked at, by %s, is written and disturbs nobody', (_, error) => {
  const lines: string[] = []
  const note = (...parts: unknown[]) => lines.push(format(...parts))
  vi.spyOn(console, 'warn').mockImplementation(note)
  vi.spyOn(console, 'error').mockImplementation(note)
  const events = new BusEmitter(new ConsoleReport().tell)
  events.emit('retried', { ...delivery, delayMs: 1000, error: toError(error) })
  events.emit('deadLettered', { ...delivery, reason: 'permanent', error: toError(error) })
  expect(lines).toHaveLength(2)
})

test('whoever emits does not hear of a report that fails', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const events = new BusEmitter(fail)
  events.emit('lost', delivery)
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/"lost" could not be written/), 'WaybillWarning')
})

function fail(): never {
  throw new Error('do not look')
}
