import type { IncomingMessage, ServerResponse } from 'node:http'
import { toError } from '@waybill/core/driver'
import type { JobSnapshot } from '../job.ts'
import { idIn, parseStatusOptions, type StatusHost, type StatusOptions } from './status-options.ts'

// Proxies close what says nothing for a minute.
const stillHereMs = 15_000

/**
 * Answers `GET /jobs/ID/status` of a server of `node:http`: with the job as JSON, or, to an `EventSource`, with a stream of server-sent
 * events that ends with the job. Resolves with false for other requests, which are left to you.
 *
 * ```ts
 * const status = statusHandler(jobs, { allow: (request, job) => ownerOf(job) === userOf(request) })
 * createServer(async (request, response) => {
 *   if (!(await status(request, response))) response.writeHead(404).end()
 * })
 * ```
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function statusHandler(
  jobs: StatusHost,
  options: StatusOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const { path, allow, show } = parseStatusOptions(jobs, options, 'statusHandler')
  return async (request, response) => {
    const id = request.method === 'GET' ? idIn(request.url ?? '', path) : undefined
    if (id === undefined) return false
    try {
      const job = await jobs.get(id)
      if (job === undefined || (allow !== undefined && !(await allow(request, job)))) {
        // The same for both, so that nobody learns which ids there are.
        answer(response, 404, { error: 'There is no such job' })
      } else if (request.headers.accept?.includes('text/event-stream')) {
        await stream(response, jobs, job.id, show)
      } else answer(response, 200, show(job))
    } catch (error) {
      if (response.headersSent) response.destroy(toError(error))
      else answer(response, 500, { error: 'The job could not be read' })
    }
    return true
  }
}

async function stream(
  response: ServerResponse,
  jobs: StatusHost,
  id: string,
  show: (job: JobSnapshot) => unknown,
): Promise<void> {
  const over = new AbortController()
  response.once('close', () => over.abort())
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const still = setInterval(() => response.write(': still here\n\n'), stillHereMs)
  still.unref()
  try {
    for await (const { kind, job } of jobs.watch(id, { signal: over.signal }))
      response.write(`id: ${job.version}\nevent: ${kind}\ndata: ${JSON.stringify(show(job))}\n\n`)
  } finally {
    clearInterval(still)
  }
  response.end()
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}
