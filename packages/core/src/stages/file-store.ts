import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { durationOption } from '../driver-kit/duration-option.ts'
import { systemClock } from '../lib/clock.ts'
import type { Duration } from '../lib/duration.ts'
import { toError } from '../lib/errors.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { ClaimStore } from './claim-store.ts'

export interface FileStoreOptions {
  /**
   * How long bodies are kept; up to a day longer, because days are removed as a whole. Longer than messages wait, dead letters
   * included. At least `1h`. Default: `30d`.
   */
  readonly keepFor?: Duration
}

export interface FileStore extends ClaimStore {
  /** Removes what is too old, now; resolves with the days that were removed. It also happens by itself. */
  sweep(): Promise<readonly string[]>
}

const dayMs = 86_400_000
const sweepEveryMs = 60_000

const optionsSchema = lazily(() =>
  z.strictObject({
    directory: z.string().min(1, 'expected the path of a directory'),
    keepFor: durationOption({ min: 3_600_000 }).default(30 * dayMs),
  }),
)

const claimId = /^(?<day>\d{4}-\d{2}-\d{2})\/(?<name>[a-z0-9][a-z0-9.-]{0,99})$/
const dayName = /^\d{4}-\d{2}-\d{2}$/

/**
 * Keeps the bodies of `claimCheck` as files, in a directory a day, for tests and for processes of one machine or with a shared
 * file system. The directory is made when it is first needed. Old days are removed in the background while bodies are
 * written, at most once a minute; what goes wrong with that is a warning of the process.
 *
 * @example
 * const stage = claimCheck({ store: fileStore('/var/lib/shop/bodies', { keepFor: '30d' }) })
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function fileStore(directory: string, options: FileStoreOptions = {}): FileStore {
  const settings = parseOptions(optionsSchema(), { ...options, directory }, 'fileStore options')
  const { keepFor } = settings
  let sweptAt = Number.NEGATIVE_INFINITY
  const sweep = () => sweepDays(settings.directory, systemClock.now() - keepFor - dayMs)
  return {
    sweep,
    async put(id, body) {
      const [day, path] = placeOf(settings.directory, id)
      await mkdir(day, { recursive: true })
      await write(day, path, body)
      const now = systemClock.monotonic()
      if (now - sweptAt < sweepEveryMs) return
      sweptAt = now
      sweep().catch((error: unknown) => {
        process.emitWarning(
          `Old bodies in ${directory} cannot be removed: ${toError(error).message}`,
          'WaybillWarning',
        )
      })
    },
    async get(id) {
      const [, path] = placeOf(settings.directory, id)
      return readFile(path).catch((error: unknown) => absentOr(error, undefined))
    },
    async remove(id) {
      await rm(placeOf(settings.directory, id)[1], { force: true })
    },
  }
}

/** The directory of the day, and the file. Whatever the id, both are within the store's directory. */
function placeOf(directory: string, id: string): readonly [day: string, path: string] {
  const { day, name } = claimId.exec(id)?.groups ?? {}
  if (day === undefined || name === undefined) {
    throw new TypeError(`"${String(id).slice(0, 200)}" is no id of a claim, such as 2026-11-29/0199f3a2`)
  }
  return [join(directory, day), join(directory, day, name)]
}

/** Whoever reads finds the whole body or none, also after a loss of power. */
async function write(day: string, path: string, body: Uint8Array): Promise<void> {
  // Ids do not begin with a dot.
  const temporary = join(day, `.${randomUUID()}`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(body)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  // On Windows a directory cannot be opened, and need not be.
  if (process.platform === 'win32') return
  const folder = await open(day)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function sweepDays(directory: string, before: number): Promise<readonly string[]> {
  const names = await readdir(directory).catch((error: unknown) => absentOr(error, []))
  const old = names.filter((name) => dayName.test(name) && Date.parse(name) <= before)
  for (const name of old) await rm(join(directory, name), { recursive: true, force: true })
  return old
}

function absentOr<Value>(error: unknown, value: Value): Value {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value
  throw error
}
