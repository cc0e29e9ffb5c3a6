import { readFileSync } from 'node:fs'
import { defineConfig } from 'rolldown'

const packages = [
  'core',
  'adapter-rabbitmq',
  'adapter-kafka',
  'adapter-sqs',
  'adapter-redis',
  's3',
  'database',
  'postgres',
  'sqlite',
  'figures',
  'opentelemetry',
  'prometheus',
  'cli',
  'jobs',
  'bridge',
]

/** `{ index: 'packages/core/src/index.ts', driver: … }`, as the package exports them. */
function doors(folder: string): Record<string, string> {
  const { exports, bin = {} } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const doors = Object.values<{ '@waybill/source': string }>(exports).map((door) => door['@waybill/source'])
  const commands = Object.values<string>(bin).map((path) => path.replace('dist', 'src').replace('.js', '.ts'))
  const sources = [...doors, ...commands]
  return Object.fromEntries(
    sources.map((path) => [path.replace('./src/', '').replace('.ts', ''), `${folder}/${path}`]),
  )
}

/**
 * The JavaScript that is published; `tsc -b` writes its types. The parts of zod that a package uses are put into it:
 * loading all of zod takes longer than everything else, mostly for error texts in sixty languages.
 */
export default packages.map((name) => {
  const folder = `packages/${name}`
  return defineConfig({
    input: doors(folder),
    platform: 'node',
    external: (id) => /^[^./]/.test(id) && id !== 'zod' && !id.startsWith('zod/'),
    output: { dir: `${folder}/dist`, sourcemap: true, chunkFileNames: '[name]-shared.js' },
  })
})
