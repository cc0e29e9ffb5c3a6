import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { loadAdapter } from './adapter-loader.ts'

afterEach(() => {
  vi.doUnmock('@waybill/adapter-redis')
})

test('memory is always there', async () => {
  expect(await loadAdapter('memory')).toMatchObject({ name: 'memory', schemes: ['memory'] })
})

test.each([
  ['amqp', 'rabbitmq'],
  ['amqps', 'rabbitmq'],
  ['kafka', 'kafka'],
  ['kafka+ssl', 'kafka'],
  ['sqs', 'sqs'],
  ['sqs+http', 'sqs'],
  ['sqs+https', 'sqs'],
  ['redis', 'redis'],
  ['rediss', 'redis'],
])('%s: is served by the adapter of %s', async (scheme, adapter) => {
  const found = { name: adapter, schemes: [scheme], connect: () => {} }
  vi.doMock(`@waybill/adapter-${adapter}`, () => ({ adapter: found }))
  expect(await loadAdapter(scheme)).toBe(found)
  vi.doUnmock(`@waybill/adapter-${adapter}`)
})

test('a package without an adapter is of the wrong version', async () => {
  vi.doMock('@waybill/adapter-redis', () => ({ adapter: undefined }))
  await expect(loadAdapter('redis')).rejects.toMatchObject({
    code: 'adapter-missing',
    message: expect.stringMatching(/exports no adapter; install the version that fits @waybill\/core/),
  })
})

/** What a program is told that connects to `redis:`, where resolving its adapter goes as in `resolve`. */
async function connectingWhere(resolve: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-loader-'))
  try {
    await writeFile(join(folder, 'needs-more.mjs'), "import 'a-client-that-is-not-there'")
    const program = `
      import { registerHooks } from 'node:module'
      registerHooks({
        resolve(name, context, next) {
          if (name !== '@waybill/adapter-redis') return next(name, context)
          ${resolve}
        },
      })
      const { connect } = await import(${JSON.stringify(new URL('./connect.ts', import.meta.url).href)})
      await connect({ url: 'redis://localhost' }).catch((error) => console.log(error.code, error.message))`
    await writeFile(join(folder, 'program.mjs'), program)
    const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: folder })
    return stdout.trim()
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a package that is not installed is named with the command that installs it', async () => {
  const told = await connectingWhere(
    "return next(name, { ...context, parentURL: 'file:///nowhere/program.js' })",
  )
  expect(told).toBe(
    'adapter-missing "redis:" URLs need the package @waybill/adapter-redis. Install it: npm install @waybill/adapter-redis',
  )
})

test('a package that is there but needs one that is not is not said to be missing', async () => {
  const told = await connectingWhere(
    "return next('./needs-more.mjs', { ...context, parentURL: import.meta.url })",
  )
  expect(told).toMatch(/^adapter-missing The package @waybill\/adapter-redis .* could not be loaded/)
  expect(told).toContain("'a-client-that-is-not-there'")
})
