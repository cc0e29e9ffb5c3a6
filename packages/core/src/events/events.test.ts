import { afterEach, expect, test, vi } from 'vitest'
import { BusEmitter } from './events.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test('listeners hear of what they listen to, until they are taken off', () => {
  const events = new BusEmitter()
  const heard: string[] = []
  const listener = ({ message }: { readonly message: string }) => heard.push(message)
  events.on('warning', listener)
  events.emit('warning', { message: 'one' })
  events.emit('unblocked', {})
  events.off('warning', listener)
  events.emit('warning', { message: 'two' })
  expect(heard).toEqual(['one'])
})

test('a listener that throws is a process warning, and the others still hear', () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const events = new BusEmitter()
  const heard: string[] = []
  events.on('warning', () => {
    throw new Error('broken listener')
  })
  events.on('warning', ({ message }) => heard.push(message))
  events.emit('warning', { message: 'one' })
  expect(heard).toEqual(['one'])
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/"warning" .*broken listener/), 'WaybillWarning')
})

test('a listener that rejects is a process warning, and no unhandled rejection', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const events = new BusEmitter()
  events.on('warning', async () => {
    throw new Error('broken listener')
  })
  events.emit('warning', { message: 'one' })
  await new Promise((resolve) => setImmediate(resolve))
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/broken listener/), 'WaybillWarning')
})

test('a listener that takes itself off does not make another miss the event', () => {
  const events = new BusEmitter()
  const heard: string[] = []
  const once = () => {
    heard.push('once')
    events.off('unblocked', once)
  }
  events.on('unblocked', once)
  events.on('unblocked', () => heard.push('always'))
  events.emit('unblocked', {})
  events.emit('unblocked', {})
  expect(heard).toEqual(['once', 'always', 'always'])
})
