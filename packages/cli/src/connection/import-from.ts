import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MessagingError } from '@waybill/core'
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

/**
 * What a package of ours exports, as it is beside this one or in the user's project.
 *
 * @throws {MessagingError} `adapter-missing`, with the command that installs it.
 */
export async function importInstalled<Exports>(name: string, directory: string): Promise<Exports> {
  const [installed] = /^@[^/]+\/[^/]+/.exec(name) ?? [name]
  try {
    return await import(name).catch((error: unknown) => {
      if (!isMissing(error, installed)) throw error
      return import(addressOf(name, directory))
    })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const why = isMissing(error, installed)
      ? `This needs the package ${installed}. Install it: npm install ${installed}`
      : `The package ${installed} could not be loaded: ${message}`
    throw new MessagingError('adapter-missing', why, { cause: error })
  }
}

/** In quotes: the package can be there, and something that it needs be missing. */
function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return /^(ERR_)?MODULE_NOT_FOUND$/.test(String(error.code)) && error.message.includes(`'${name}`)
}
