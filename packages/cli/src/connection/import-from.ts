import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../failures/usage-error.ts'

/**
 * A module of the user's project: a file, or a package that is installed there.
 *
 * @throws {UsageError} naming the option it was given to.
 */
export async function importFrom(
  name: string,
  directory: string,
  option: string,
): Promise<Record<string, unknown>> {
  try {
    return await import(addressOf(name, directory))
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // Node names the file that imports, which is ours.
    const why = message.replace(/ imported from .*$/s, '')
    throw new UsageError(`The module ${name} of ${option} could not be loaded: ${why}`)
  }
}

function addressOf(name: string, directory: string): string {
  const isPath = /^(\.{0,2}\/|\.{1,2}$|[A-Za-z]:[\\/])/.test(name) || /\.[cm]?[jt]s$/.test(name)
  if (isPath) return pathToFileURL(resolve(directory, name)).href
  return pathToFileURL(createRequire(join(directory, 'package.json')).resolve(name)).href
}
