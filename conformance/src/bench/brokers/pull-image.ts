import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { docker, imageExists } from './docker.ts'
import { CommandError } from './run-command.ts'
import { stateDirectory } from './state-directory.ts'

/** A registry that says nothing at all for this long is taken for unreachable. */
const SILENCE_MS = 20_000
/** A whole pull may take this long: the largest image is about 400 MB. */
const PULL_TIMEOUT_MS = 300_000
/** For how long a registry that did not answer is not asked again, by any process on this machine. */
const UNREACHABLE_FOR_MS = 15 * 60_000

/**
 * Has the engine fetch an image it does not have yet. Gives the reason where it cannot be had,
 * `undefined` where it can.
 */
export async function pullProblem(image: string): Promise<string | undefined> {
  if (await imageExists(image)) return undefined
  if (isRegistryUnreachable(image)) return 'its registry did not answer a moment ago'
  try {
    await docker(['pull', image], { silenceMs: SILENCE_MS, timeoutMs: PULL_TIMEOUT_MS })
    rmSync(markerPath(image), { force: true })
    return undefined
  } catch (error) {
    const reason = reasonOf(error)
    if (!isAboutTheImage(reason)) writeFileSync(markerPath(image), reason)
    return reason
  }
}

/** Whether the registry answered, and refused this one image. */
export function isAboutTheImage(reason: string): boolean {
  return /not found|manifest unknown|denied|unauthorized/i.test(reason)
}

/** The registry's host, by the rule of image references: a first part with a dot, a colon or `localhost`. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/')
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? first : 'default'
}

function isRegistryUnreachable(image: string): boolean {
  const path = markerPath(image)
  return existsSync(path) && Date.now() - statSync(path).mtimeMs < UNREACHABLE_FOR_MS
}

function markerPath(image: string): string {
  return join(stateDirectory(), `unreachable-${registryOf(image).replaceAll(/[^\w.-]/g, '_')}`)
}

function reasonOf(error: unknown): string {
  const text = error instanceof CommandError && error.output.trim() !== '' ? error.output : String(error)
  return text.trim().split('\n').at(-1) ?? text
}
