/**
 * Holds the imports of every package against the arrows of the layout: application → core, adapter → core/driver; never
 * adapter → adapter, never core → a broker's client. Exits non-zero with a line a breach.
 */
import { glob, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

// Adapters add their options to an interface of the application's door, and implement its idempotency store.
const coreTypes = [/^@waybill\/core$/]

/** What the sources of a folder may import besides `node:` modules and files beside them. */
const rules: readonly {
  readonly folder: string
  readonly allowed: readonly RegExp[]
  readonly typesToo: readonly RegExp[]
}[] = [
  { folder: 'packages/core', allowed: [/^zod$/], typesToo: [/^@standard-schema\/spec$/] },
  {
    folder: 'packages/adapter-rabbitmq',
    allowed: [/^zod$/, /^@waybill\/core\/driver$/, /^amqplib$/],
    typesToo: coreTypes,
  },
  {
    folder: 'packages/adapter-kafka',
    allowed: [/^zod$/, /^@waybill\/core\/driver$/, /^kafkajs/, /^(lz4|snappy|zstd)/],
    typesToo: coreTypes,
  },
  {
    folder: 'packages/adapter-sqs',
    allowed: [/^zod$/, /^@waybill\/core\/driver$/, /^@aws-sdk\//, /^@smithy\//],
    typesToo: coreTypes,
  },
  {
    folder: 'packages/adapter-redis',
    allowed: [/^zod$/, /^@waybill\/core\/driver$/, /^ioredis$/],
    typesToo: coreTypes,
  },
  { folder: 'examples/checkout', allowed: [/^zod$/, /^@waybill\/core$/], typesToo: [] },
]

const imports =
  /^(?:import|export)\s+(?<type>type\s)?(?:[^'"]*?\sfrom\s+)?['"](?<name>[^'"]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"]+)['"]\s*\)/gm

const root = fileURLToPath(new URL('..', import.meta.url))
const breaches: string[] = []
let files = 0
for (const { folder, allowed, typesToo } of rules) {
  for await (const file of glob(`${folder}/src/**/*.ts`, { cwd: root })) {
    if (file.endsWith('.test.ts')) continue
    files += 1
    for (const { groups } of (await readFile(`${root}/${file}`, 'utf8')).matchAll(imports)) {
      const name = groups?.name ?? groups?.dynamic ?? ''
      if (name.startsWith('node:') || name.startsWith('.')) continue
      const permitted = groups?.type === undefined ? allowed : [...allowed, ...typesToo]
      if (!permitted.some((rule) => rule.test(name))) breaches.push(`${file} imports ${name}`)
    }
  }
}
for (const breach of breaches) console.error(breach)
console.log(`${files} files, ${breaches.length} breaches`)
process.exitCode = breaches.length === 0 ? 0 : 1
