import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Adapter } from '../driver.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { memory } from '../memory/memory.ts'

/** Which package serves a URL's scheme. */
const packages: Readonly<Record<string, string>> = {
  amqp: '@waybill/adapter-rabbitmq',
  amqps: '@waybill/adapter-rabbitmq',
  kafka: '@waybill/adapter-kafka',
  'kafka+ssl': '@waybill/adapter-kafka',
  sqs: '@waybill/adapter-sqs',
  'sqs+http': '@waybill/adapter-sqs',
  'sqs+https': '@waybill/adapter-sqs',
  redis: '@waybill/adapter-redis',
  rediss: '@waybill/adapter-redis',
}

// Named in quotes: the package can be there, and something that it needs itself be missing.
function isMissing(name: string, error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    /^(ERR_)?MODULE_NOT_FOUND$/.test(String(error.code)) &&
    error.message.includes(`'${name}'`)
  )
}

// Beside core first; then from the application, for package managers that hide from core what it does not depend on.
async function importPackage(name: string): Promise<Record<string, unknown>> {
  try {
    return await import(name)
  } catch (error) {
    if (!isMissing(name, error)) throw error
    const application = createRequire(join(process.cwd(), 'package.json'))
    return import(pathToFileURL(application.resolve(name)).href)
  }
}

function isAdapter(value: unknown): value is Adapter {
  return typeof value === 'object' && value !== null && 'schemes' in value && 'connect' in value
}

/**
 * The adapter for a scheme, loaded now and not before.
 *
 * @throws {MessagingError} `adapter-missing`, with the command that installs it.
 */
export async function loadAdapter(scheme: string): Promise<Adapter> {
  if (scheme === 'memory') return memory()
  const name = packages[scheme]
  if (name === undefined) {
    const known = ['memory', ...Object.keys(packages)].map((each) => `${each}:`).join(' ')
    const what = `No adapter is known for "${scheme}:" URLs. Known are ${known}; pass others as connect({ url, adapter })`
    throw new MessagingError('adapter-missing', what)
  }
  let exports: Record<string, unknown>
  try {
    exports = await importPackage(name)
  } catch (error) {
    const why = isMissing(name, error)
      ? `"${scheme}:" URLs need the package ${name}. Install it: npm install ${name}`
      : `The package ${name} for "${scheme}:" URLs could not be loaded: ${toError(error).message}`
    throw new MessagingError('adapter-missing', why, { cause: error })
  }
  if (isAdapter(exports.adapter)) return exports.adapter
  throw new MessagingError(
    'adapter-missing',
    `The package ${name} exports no adapter; install the version that fits @waybill/core`,
  )
}
