import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { connect } from '../bus/connect.ts'
import { runUntilSignal } from './run-until-signal.ts'

const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** The program at the point where its handler runs, and all that it says until it ends. */
async function running(mode: string) {
  const file = new URL('./long-running.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--conditions=@waybill/source', file, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const ended = once(child, 'close')
  const lines: string[] = []
  const { promise: isReady, resolve } = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    if (line === 'ready') resolve()
  })
  await isReady
  const end = async () => {
    await ended
    return { code: child.exitCode, signal: child.signalCode, lines }
  }
  return { child, end, lines }
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s lets handlers end, sends what is left, and exits with 0',
  async (signal) => {
    const { child, end } = await running('works')
    child.kill(signal)
    expect(await end()).toEqual({
      code: 0,
      signal: null,
      lines: [
        'handling',
        'ready',
        'before',
        'handled',
        'sent while closing',
        'after',
        JSON.stringify({ signal, clean: true, abandoned: 0, errors: [] }),
      ],
    })
  },
)

test('a handler that does not end in time is abandoned, told, and costs the exit code', async () => {
  const { child, end } = await running('hangs')
  child.kill('SIGTERM')
  const { code, lines } = await end()
  expect(code).toBe(1)
  expect(lines.at(-1)).toBe(JSON.stringify({ signal: 'SIGTERM', clean: false, abandoned: 1, errors: [] }))
})

test('what fails while shutting down is told, and costs the exit code', async () => {
  const { child, end } = await running('fails')
  child.kill('SIGTERM')
  const { code, lines } = await end()
  expect(code).toBe(1)
  expect(lines.at(-1)).toMatch(/"clean":false.*The database does not close/)
})

test('an exit code that the application has set is not taken for a success', async () => {
  const { child, end } = await running('has failed')
  child.kill('SIGTERM')
  const { code, lines } = await end()
  expect(code).toBe(3)
  expect(lines.at(-1)).toMatch(/"clean":true/)
})

test('a run that has ended does not end the process while another one is closing', async () => {
  const { child, end } = await running('has two')
  child.kill('SIGTERM')
  const { code, lines } = await end()
  expect(code).toBe(0)
  expect(lines).toContain('the other after')
})

test('a process that something keeps alive ends all the same', async () => {
  const { child, end } = await running('lingers')
  child.kill('SIGTERM')
  expect(await end()).toMatchObject({ code: 0, signal: null })
})

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('a second %s ends it at once with %s', async (signal, code) => {
  const { child, end, lines } = await running('is told twice')
  child.kill('SIGTERM')
  await expect.poll(() => lines, { timeout: 60_000 }).toContain('before')
  child.kill(signal)
  expect(await end()).toMatchObject({ code, signal: null })
  expect(lines).not.toContain('after')
})

test('an abort signal does what a signal does, and leaves no listener behind', async () => {
  const before = process.listenerCount('SIGTERM')
  const bus = await connect({ url: 'memory:' })
  const over = new AbortController()
  const { exitCode } = process
  const ending = runUntilSignal(bus, { signal: over.signal, exit: false })
  over.abort()
  expect(await ending).toEqual({ signal: undefined, clean: true, abandoned: 0, errors: [] })
  process.exitCode = exitCode
  expect(process.listenerCount('SIGTERM')).toBe(before)
  expect(() => bus.producer()).toThrow(/closed/)
})

test('every wrong option is refused, and what is no bus', async () => {
  await using bus = await connect({ url: 'memory:' })
  const wrong = { timeout: 'soon', signals: ['SIGKILL'], before: 1 }
  await expect(Reflect.apply(runUntilSignal, undefined, [bus, wrong])).rejects.toMatchObject({
    issues: [{ path: 'timeout' }, { path: 'signals.0' }, { path: 'before' }],
  })
  await expect(Reflect.apply(runUntilSignal, undefined, [connect({ url: 'memory:' })])).rejects.toThrow(
    /await connect/,
  )
})
