/**
 * Bundles a small application with each adapter, with the store in S3 and with each database, by esbuild and by rolldown, as
 * ESM and as CommonJS, and runs it: each has to load, and to say that nobody answers there, or to work if it needs no server.
 * Exits non-zero with a line for each that did not.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { rolldown } from 'rolldown'
import { command } from './command.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

// Port 1 is never in use: what is expected is a refusal that comes from the client in the bundle.
const connecting = (name: string, url: string) => ({
  expected: 'connection-failed',
  source: `
import { connect } from '@waybill/core'
import { adapter } from '@waybill/adapter-${name}'
const memory = await connect({ url: 'memory:' })
await memory.close()
try {
  await connect({ url: '${url}', adapter, timeout: '2s' })
  console.log('connected')
} catch (error) {
  console.log(error.code)
}
`,
})

const applications = {
  rabbitmq: connecting('rabbitmq', 'amqp://localhost:1'),
  kafka: connecting('kafka', 'kafka://127.0.0.1:1'),
  sqs: connecting('sqs', 'sqs+http://test:test@127.0.0.1:1'),
  redis: connecting('redis', 'redis://127.0.0.1:1'),
  s3: {
    expected: 'disconnected',
    source: `
import { s3Store } from '@waybill/s3'
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
const clientOptions = { endpoint: 'http://127.0.0.1:1', region: 'eu-west-1', credentials, maxAttempts: 1 }
try {
  await s3Store({ bucket: 'bodies', clientOptions }).get('2026-11-29/a')
  console.log('got')
} catch (error) {
  console.log(error.code)
}
`,
  },
  postgres: {
    expected: 'disconnected',
    source: `
import { postgres } from '@waybill/postgres'
try {
  await postgres({ url: 'postgres://postgres@127.0.0.1:1/postgres' }).migrate()
  console.log('migrated')
} catch (error) {
  console.log(error.code)
}
`,
  },
  sqlite: {
    expected: 'ran',
    source: `
import { sqlite } from '@waybill/sqlite'
const database = sqlite({ path: ':memory:' })
await database.migrate()
const idempotencyKey = { group: 'g', topic: 't', type: 'a.b', source: 's', id: 'm-1' }
const { outcome } = await database.inbox().once({ idempotencyKey }, async () => {})
console.log(outcome)
`,
  },
} as const

// CommonJS has no await at the top.
const wrapped = (text: string) =>
  text.replace(/(import .*\n)(?!import)/, '$1async function main() {\n').concat('}\nvoid main()\n')

type Format = 'esm' | 'cjs'
const formats: readonly Format[] = ['esm', 'cjs']
const bundlers: Readonly<Record<string, (input: string, output: string, format: Format) => Promise<void>>> = {
  async esbuild(input, output, format) {
    // What esbuild's own documentation advises for packages that call \`require\` in an ESM bundle.
    const banner =
      "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);"
    await build({
      ...{ entryPoints: [input], outfile: output, format, bundle: true, platform: 'node', logLevel: 'error' },
      ...(format === 'esm' && { banner: { js: banner } }),
    })
  },
  async rolldown(input, output, format) {
    const bundle = await rolldown({ input, platform: 'node', logLevel: 'silent' })
    await bundle.write({ file: output, format, codeSplitting: false })
    await bundle.close()
  },
}

async function failureOf(
  folder: string,
  outside: string,
  name: keyof typeof applications,
  bundler: string,
  format: Format,
): Promise<string | undefined> {
  const what = `${name}, bundled by ${bundler} as ${format}`
  const input = join(folder, `${name}.mjs`)
  const output = join(outside, `${name}-${bundler}.${format === 'esm' ? 'mjs' : 'cjs'}`)
  try {
    const { source, expected } = applications[name]
    await writeFile(input, wrapped(source))
    await bundlers[bundler]?.(input, output, format)
    const { exitCode, output: printed } = await command('node', [output])
    if (exitCode === 0 && printed.split('\n').includes(expected)) return undefined
    return `${what}: exit ${exitCode}, ${printed.slice(0, 2000)}`
  } catch (error) {
    return `${what}: ${error instanceof Error ? error.message.slice(0, 2000) : error}`
  }
}

// Bundled where the packages are found, and run where none is, so that all that is needed has to be in the bundle.
const folder = await mkdtemp(join(root, 'node_modules', '.bundles-'))
const outside = await mkdtemp(join(tmpdir(), 'waybill-bundles-'))
const failures: string[] = []
try {
  for (const name of Object.keys(applications) as (keyof typeof applications)[]) {
    for (const bundler of Object.keys(bundlers)) {
      for (const format of formats) {
        const failure = await failureOf(folder, outside, name, bundler, format)
        console.log(`${failure === undefined ? 'ok    ' : 'FAILED'} ${name}, ${bundler}, ${format}`)
        if (failure !== undefined) failures.push(failure)
      }
    }
  }
} finally {
  for (const each of [folder, outside]) await rm(each, { recursive: true, force: true })
}
for (const failure of failures) console.error(failure)
process.exitCode = failures.length === 0 ? 0 : 1
