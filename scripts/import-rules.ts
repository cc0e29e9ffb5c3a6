/**
 * Holds the imports of every package against the arrows of the layout. Between packages: application → core, adapter →
 * core's doors for drivers; never adapter → adapter, never core → a broker's client. Within a package: a room (a folder
 * of `src`, or a file at its root) imports only rooms that stand before it in the package's list, so there are no
 * circles of rooms; nor are there circles of files. An adapter's client library is imported in its room `client/` alone,
 * but for types in `options.ts`, where users hand over clients of their own. Exits non-zero with a line a breach.
 */
import { glob, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Rule {
  readonly folder: string
  /** What its sources may import besides `node:` modules and files of the package. */
  readonly allowed: readonly RegExp[]
  /** What they may import as types besides. */
  readonly typesToo: readonly RegExp[]
  /** What the room `client` may import besides, and `options` as types. */
  readonly client?: readonly RegExp[]
  /** The rooms, each after those that it may import. Undefined: the package has no rooms. */
  readonly rooms?: readonly string[]
}

// Adapters add their options to an interface of the application's door, and implement its idempotency store.
const coreTypes = [/^@waybill\/core$/]
const driverDoors = /^@waybill\/core\/driver(-kit)?$/

const adapterRooms = [
  'options',
  'wire',
  'client',
  'errors',
  'scripts',
  'connection',
  'topology',
  'sending',
  'settling',
  'receiving',
  'dead-letters',
  'idempotency',
  'driver',
  'index',
]

const adapter = (name: string, client: readonly RegExp[]): Rule => ({
  folder: `packages/adapter-${name}`,
  allowed: [/^zod$/, driverDoors],
  typesToo: coreTypes,
  client,
  rooms: adapterRooms,
})

const rules: readonly Rule[] = [
  {
    folder: 'packages/core',
    allowed: [/^zod$/],
    typesToo: [/^@standard-schema\/spec$/],
    rooms: [
      'lib',
      // A folder, then the door beside it.
      'driver/',
      'driver',
      'driver-kit/',
      'driver-kit',
      'messages',
      'encoding',
      'codecs/',
      'codecs',
      'stages/',
      'stages',
      'events',
      'idempotency',
      'topology',
      'memory',
      'deliveries',
      'handling',
      'sending',
      'outbox',
      'consuming',
      'requesting',
      'middleware/',
      'middleware',
      'dead-letters',
      'bus',
      'tools',
      'operations',
      'index',
      'testing',
    ],
  },
  adapter('rabbitmq', [/^amqplib$/]),
  adapter('kafka', [/^kafkajs/, /^(lz4|snappy|zstd)/]),
  adapter('sqs', [/^@aws-sdk\//, /^@smithy\//]),
  {
    ...adapter('redis', [/^ioredis$/]),
    // It keeps jobs, for those who have that package.
    typesToo: [...coreTypes, /^@waybill\/jobs$/],
    rooms: [...adapterRooms, 'jobs/', 'jobs'],
  },
  {
    folder: 'packages/s3',
    allowed: [/^zod$/, driverDoors, /^@aws-sdk\//],
    typesToo: [/^@waybill\/core\/stages$/],
    rooms: ['options', 'errors', 's3-store', 'index'],
  },
  {
    folder: 'packages/database',
    allowed: [/^zod$/, /^@waybill\/core(\/outbox)?$/, driverDoors],
    typesToo: [/^@standard-schema\/spec$/],
    rooms: [
      'transaction',
      'dialect',
      'connection',
      'names',
      'guarded-transaction',
      'run-transaction',
      'read-committed',
      'single-session',
      'migrations',
      'emitter',
      'host',
      'marks',
      'idempotency',
      'inbox',
      'outbox/',
      'relay',
      'outbox',
      'database',
      'make-database',
      'dialects',
      'sagas',
      'event-store',
      'index',
    ],
  },
  {
    folder: 'packages/postgres',
    allowed: [/^zod$/, driverDoors, /^@waybill\/database(\/dialects)?$/, /^pg$/, /^@electric-sql\/pglite$/],
    typesToo: coreTypes,
    rooms: [
      'clients',
      'options',
      'errors',
      'dialect',
      'own-clients',
      'pool-listener',
      'pool-connection',
      'pglite-connection',
      'given-connection',
      'transactions',
      'postgres',
      'index',
    ],
  },
  {
    folder: 'packages/jobs',
    allowed: [/^zod$/, /^croner$/, /^@waybill\/core$/, driverDoors, /^@waybill\/database(\/dialects)?$/],
    typesToo: [/^@standard-schema\/spec$/],
    rooms: [
      'batching',
      'validated',
      'definition',
      'job',
      'job-failed',
      'schedule',
      'store',
      'snapshot',
      'memory',
      'database',
      'book',
      'jobs-options',
      'working',
      'isolating',
      'new-jobs',
      'flows',
      'schedules',
      'sending',
      'watching',
      'job-handle',
      // A folder, then the door beside it.
      'jobs/',
      'jobs',
      'index',
    ],
  },
  {
    folder: 'packages/sqlite',
    allowed: [/^zod$/, driverDoors, /^@waybill\/database(\/dialects)?$/],
    typesToo: coreTypes,
    rooms: ['options', 'errors', 'dialect', 'statement', 'sqlite-session', 'sqlite', 'index'],
  },
  {
    folder: 'packages/figures',
    allowed: [/^zod$/, /^@waybill\/core$/, driverDoors],
    typesToo: [],
    rooms: ['figure', 'label-sets', 'error-type', 'recorder', 'parts', 'reader', 'options', 'index'],
  },
  {
    folder: 'packages/opentelemetry',
    allowed: [/^zod$/, /^@waybill\/core$/, driverDoors, /^@waybill\/figures$/, /^@opentelemetry\/api$/],
    typesToo: [],
    rooms: [
      'names',
      'trace-context',
      'attempt',
      'failure',
      'options',
      'spans',
      'metrics',
      'telemetry-settings',
      'sending',
      'settling',
      'processing',
      'telemetry',
      'jobs',
      'instrument',
      'index',
    ],
  },
  {
    folder: 'packages/prometheus',
    allowed: [/^zod$/, /^@waybill\/core$/, driverDoors, /^@waybill\/figures$/, /^prom-client$/],
    typesToo: [],
    rooms: ['options', 'timing', 'collectors', 'metrics', 'index'],
  },
  {
    folder: 'packages/bridge',
    allowed: [/^zod$/, /^@waybill\/core(\/tools)?$/, driverDoors],
    typesToo: [],
    rooms: [
      'options',
      'counts',
      'places',
      'route',
      'refusal',
      'is-undecoded',
      'reporter',
      'passage',
      'topics',
      'drained',
      'bridge',
      'open-bridge',
      'index',
    ],
  },
  {
    folder: 'packages/cli',
    allowed: [
      /^zod$/,
      /^@waybill\/(bridge|core(\/driver)?|jobs)$/,
      /^(commander|@commander-js\/extra-typings|@bomb\.sh\/tab\/commander|cli-table3|log-update)$/,
    ],
    typesToo: [],
    rooms: [
      'arguments',
      'failures',
      'output',
      'connection',
      'session',
      'cli',
      'commands',
      'run',
      'index',
      'waybill',
    ],
  },
  {
    folder: 'conformance',
    allowed: [
      /^zod$/,
      /^@waybill\//,
      /^cloudevents$/,
      /^testcontainers$/,
      /^(amqplib|kafkajs|ioredis|esbuild|pg$|knex$|kysely$|drizzle-orm|@aws-sdk\/)/,
      /^@opentelemetry\//,
    ],
    typesToo: [],
    rooms: ['harness', 'fixtures', 'network', 'children', 'case', 'cases', 'suite', 'index', 'bench'],
  },
  { folder: 'examples/checkout', allowed: [/^zod$/, /^@waybill\/(core|bridge|sqlite)$/], typesToo: [] },
  {
    folder: 'examples/workers',
    allowed: [/^@waybill\/(core|database|postgres|sqlite)$/],
    typesToo: [],
    rooms: [
      'open-database',
      'service',
      'random',
      'hand-over',
      'dying-database',
      'until',
      'worker',
      'workers',
      'index',
    ],
  },
  ...['saga', 'payments', 'cqrs'].map((name) => ({
    folder: `examples/${name}`,
    allowed: [/^zod$/, /^@waybill\/(core|database|postgres|sqlite|example-workers)$/],
    typesToo: [],
  })),
  ...['mailer', 'document-pipeline'].map((name) => ({
    folder: `examples/${name}`,
    allowed: [/^zod$/, /^@waybill\/(core|jobs|sqlite)$/],
    typesToo: [],
  })),
  {
    folder: 'examples/codecs',
    allowed: [
      /^zod$/,
      /^@waybill\/core(\/codecs)?$/,
      /^@kafkajs\/confluent-schema-registry$/,
      /^protobufjs$/,
    ],
    typesToo: [],
  },
]

const imports =
  /^(?:import|export)\s+(?<type>type\s)?(?:[^'"]*?\sfrom\s+)?['"](?<name>[^'"]+)['"]|\bimport\(\s*['"](?<dynamic>[^'"]+)['"]\s*\)/gm

interface Import {
  readonly name: string
  readonly isType: boolean
}

function importsIn(source: string): readonly Import[] {
  return [...source.matchAll(imports)].map(({ groups }) => ({
    name: groups?.name ?? groups?.dynamic ?? '',
    isType: groups?.type !== undefined,
  }))
}

/** The room of a file, given by its path within `src`. A folder beside a door of its name is told apart by its slash. */
function roomOf(path: string, rooms: readonly string[]): string {
  const [first = '', second] = path.split('/')
  if (second === undefined) return first.replace(/\.ts$/, '')
  return rooms.includes(`${first}/`) ? `${first}/` : first
}

/** A circle of files, as a line; undefined when there is none. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string | undefined => {
    const start = path.indexOf(file)
    if (start >= 0) return [...path.slice(start), file].join(' → ')
    if (done.has(file)) return undefined
    for (const next of graph.get(file) ?? []) {
      const circle = visit(next, [...path, file])
      if (circle !== undefined) return circle
    }
    done.add(file)
    return undefined
  }
  for (const file of graph.keys()) {
    const circle = visit(file, [])
    if (circle !== undefined) return circle
  }
  return undefined
}

/** What a file may import from outside of its package. */
function permitted(
  { allowed, typesToo, client = [] }: Rule,
  room: string,
  isType: boolean,
): readonly RegExp[] {
  const isOfClient = room === 'client' || (isType && room === 'options')
  return [...allowed, ...(isType ? typesToo : []), ...(isOfClient ? client : [])]
}

const root = fileURLToPath(new URL('..', import.meta.url))
const breaches: string[] = []
let files = 0

for (const rule of rules) {
  const { folder, rooms } = rule
  const source = `${folder}/src/`
  const graph = new Map<string, string[]>()
  for await (const found of glob(`${source}**/*.ts`, { cwd: root })) {
    const file = found.replaceAll('\\', '/')
    if (/\.(test|fixture)\.ts$/.test(file)) continue
    files += 1
    const own: string[] = []
    graph.set(file, own)
    const from = roomOf(file.slice(source.length), rooms ?? [])
    for (const { name, isType } of importsIn(await readFile(`${root}/${file}`, 'utf8'))) {
      if (name.startsWith('node:')) continue
      if (!name.startsWith('.')) {
        if (!permitted(rule, from, isType).some((known) => known.test(name)))
          breaches.push(`${file} imports ${name}`)
        continue
      }
      const target = posix.join(posix.dirname(file), name)
      if (!target.startsWith(source)) {
        breaches.push(`${file} imports ${name}, which is outside of its package`)
        continue
      }
      own.push(target)
      if (rooms === undefined) continue
      const to = roomOf(target.slice(source.length), rooms)
      if (!rooms.includes(from)) breaches.push(`${file} is in no room of ${folder}: ${rooms.join(', ')}`)
      else if (rooms.indexOf(to) > rooms.indexOf(from))
        breaches.push(`${file} imports ${name}: ${from} must not know ${to}`)
    }
  }
  const circle = circleIn(graph)
  if (circle !== undefined) breaches.push(`a circle of files: ${circle}`)
}

for (const breach of breaches) console.error(breach)
console.log(`${files} files, ${breaches.length} breaches`)
process.exitCode = breaches.length === 0 ? 0 : 1
