import { readFile } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import type { ConnectOptions } from '@waybill/core'
import { z } from 'zod'
import type { Redactor } from '../failures/redact.ts'
import { UsageError } from '../failures/usage-error.ts'
import { importFrom } from './import-from.ts'

/** What the options of every command say about the connection. */
export interface ConnectionArguments {
  readonly url?: string | undefined
  /** A file of options for `connect`. */
  readonly options?: string | undefined
  /** `adapter.option=value`, several times. */
  readonly native?: readonly string[] | undefined
  /** In milliseconds. */
  readonly connectTimeout?: number | undefined
}

const fileSchema = z.record(z.string(), z.unknown())
const nativeSchema = z.record(z.string(), z.record(z.string(), z.unknown())).default({})

/**
 * The options that `connect` gets: of the file, then of the command line.
 *
 * @throws {UsageError} when no broker is named, or an option cannot be read.
 */
export async function connectionOptions(
  { url, options, native = [], connectTimeout }: ConnectionArguments,
  directory: string,
  redactor: Redactor,
): Promise<ConnectOptions> {
  if (url !== undefined) redactor.learnUrl(url)
  const file = options === undefined ? {} : await readOptions(options, directory)
  const address = url ?? file.url
  if (typeof address !== 'string' || address === '') {
    throw new UsageError(
      'No broker is named; give --url URL or set WAYBILL_URL, for example to redis://localhost',
    )
  }
  const own = nativeSchema.safeParse(file.native)
  if (!own.success)
    throw new UsageError(`"native" in ${options} has to be an object with an object for each adapter`)
  const all = withNative(own.data, native)
  redactor.learnUrl(address)
  redactor.learnOptions(all)
  return {
    ...file,
    ...(connectTimeout !== undefined && { timeout: connectTimeout }),
    url: address,
    native: all,
  }
}

async function readOptions(path: string, directory: string): Promise<Record<string, unknown>> {
  const value: unknown =
    extname(path) === '.json' ? await readJson(path, directory) : await defaultOf(path, directory)
  const parsed = fileSchema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new UsageError(
    `${path} has to hold an object with options of connect(), such as { "url": "redis://localhost" }`,
  )
}

async function readJson(path: string, directory: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(resolve(directory, path), 'utf8'))
  } catch (error) {
    // The parser quotes what it did not understand, which may be a password.
    const why =
      error instanceof SyntaxError ? 'its syntax is wrong' : error instanceof Error ? error.message : error
    throw new UsageError(`${path} cannot be read as JSON: ${why}`)
  }
}

async function defaultOf(path: string, directory: string): Promise<unknown> {
  const { default: value } = await importFrom(path, directory, '--options')
  return value
}

function withNative(
  own: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  given: readonly string[],
): Record<string, Record<string, unknown>> {
  const native: Record<string, Record<string, unknown>> = {}
  for (const [adapter, options] of Object.entries(own)) native[adapter] = { ...options }
  for (const text of given) {
    const { adapter, option, value } =
      /^(?<adapter>[\w-]+)\.(?<option>\w+)=(?<value>.*)$/s.exec(text)?.groups ?? {}
    if (adapter === undefined || option === undefined || value === undefined) {
      throw new UsageError(
        '--native expects ADAPTER.OPTION=VALUE, such as rabbitmq.managementUrl=http://localhost:15672',
      )
    }
    native[adapter] = { ...native[adapter], [option]: parseValue(value) }
  }
  return native
}

/** JSON where it is JSON, such as a number or an object; text otherwise. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
