import type { IncomingMessage } from 'node:http'
import { ConfigurationError, parseOptions } from '@waybill/core/driver'
import { z } from 'zod'
import type { JobSnapshot } from '../job.ts'
import type { JobEvent } from './watching.ts'

export interface StatusOptions {
  /** Before `/ID/status` in the path. Default: `/jobs`. */
  readonly path?: string
  /** Whether the request may see the job. Default: every request may, to whom ids are secrets. */
  readonly allow?: (request: IncomingMessage, job: JobSnapshot) => boolean | Promise<boolean>
  /** What is shown. Default: id, name, state, progress, output, attempt, attempts, and the message of the error. */
  readonly show?: (job: JobSnapshot) => unknown
}

/** The jobs, by what a handler needs of them. */
export interface StatusHost {
  get(id: string): Promise<JobSnapshot | undefined>
  watch(id: string, options?: { readonly signal?: AbortSignal }): AsyncGenerator<JobEvent>
}

const optionsSchema = z.strictObject({
  path: z
    .string()
    .regex(/^(?:\/[\w.-]+)*$/, 'expected a path such as "/jobs"')
    .default('/jobs'),
  allow: z.custom<NonNullable<StatusOptions['allow']>>((value) => typeof value === 'function').optional(),
  show: z
    .custom<NonNullable<StatusOptions['show']>>((value) => typeof value === 'function')
    .default(() => shown),
})

/** @throws {ConfigurationError} with every problem. */
export function parseStatusOptions(jobs: StatusHost, options: StatusOptions, what: string) {
  const settings = parseOptions(optionsSchema, options, 'status options')
  if (typeof jobs === 'object' && jobs !== null && 'watch' in jobs) return settings
  throw new ConfigurationError(what, [{ path: 'jobs', message: 'expected the jobs of openJobs()' }])
}

/** The id of a job in a path; undefined: it is about something else. */
export function idIn(url: string, path: string): string | undefined {
  const [pathname = ''] = url.split('?')
  if (!pathname.startsWith(`${path}/`) || !pathname.endsWith('/status')) return undefined
  const id = pathname.slice(path.length + 1, -'/status'.length)
  try {
    return id === '' || id.includes('/') ? undefined : decodeURIComponent(id)
  } catch {
    return undefined
  }
}

function shown({ id, name, state, progress, output, attempt, attempts, error }: JobSnapshot): unknown {
  return { id, name, state, progress, output, attempt, attempts, error: error?.message }
}
