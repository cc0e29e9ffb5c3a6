import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasEnded } from '../job.ts'
import { idIn, parseStatusOptions, type StatusHost, type StatusOptions } from './status-options.ts'

/** A WebSocket of a server, as the library `ws` and others have it. */
export interface StatusSocket {
  /** 1: open. */
  readonly readyState: number
  /** Bytes that were given to `send` and have not left. */
  readonly bufferedAmount: number
  send(text: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'close' | 'error', listener: () => void): void
  /** Where there is one, it keeps proxies from closing what says nothing. */
  ping?(): void
}

const isOpen = ({ readyState }: StatusSocket) => readyState === 1

const stillHereMs = 15_000

// What a client has not read yet. Of a slow one that is enough: it gets the latest state once it has.
const mostBufferedBytes = 64 * 1024
const lookAgainMs = 50

/** RFC 6455, section 7.4.1; from 4000 on they are the application's. */
const codes = { ended: 1000, goingAway: 1001, failed: 1011, unknown: 4404 } as const

/**
 * Shows a job over a WebSocket that was opened at `/jobs/ID/status`: as it is, and after each change, as JSON of `kind` and `job`. The
 * socket is closed with 1000 when the job has ended, with 4404 if there is none or the request may not see it, with 1001 when the jobs
 * are closed, and with 1011 when the store fails. A client that reads slowly misses states in between, and never the last. Resolves
 * once there is no more to tell; with false, at once, for other paths, whose sockets are left to you.
 *
 * ```ts
 * const show = statusSocket(jobs, { allow: (request, job) => ownerOf(job) === userOf(request) })
 * new WebSocketServer({ server }).on('connection', show) // of the library ws
 * ```
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function statusSocket(
  jobs: StatusHost,
  options: StatusOptions = {},
): (socket: StatusSocket, request: IncomingMessage) => Promise<boolean> {
  const { path, allow, show } = parseStatusOptions(jobs, options, 'statusSocket')
  return async (socket, request) => {
    const id = idIn(request.url ?? '', path)
    if (id === undefined) return false
    const over = new AbortController()
    for (const type of ['close', 'error'] as const) socket.addEventListener(type, () => over.abort())
    if (!isOpen(socket)) over.abort()
    const still = setInterval(() => {
      if (isOpen(socket)) socket.ping?.()
    }, stillHereMs)
    still.unref()
    try {
      const job = await jobs.get(id)
      if (job === undefined || (allow !== undefined && !(await allow(request, job)))) {
        // The same for both, so that nobody learns which ids there are.
        socket.close(codes.unknown, 'There is no such job')
        return true
      }
      let state = job.state
      for await (const event of jobs.watch(id, { signal: over.signal })) {
        if (!isOpen(socket)) break
        state = event.job.state
        socket.send(JSON.stringify({ kind: event.kind, job: show(event.job) }))
        await roomIn(socket, over.signal)
      }
      if (hasEnded(state)) socket.close(codes.ended, 'The job has ended')
      else socket.close(codes.goingAway, 'The jobs are closed')
    } catch {
      socket.close(codes.failed, 'The job could not be read')
    } finally {
      clearInterval(still)
    }
    return true
  }
}

/** Until the client has read enough, or is gone. */
async function roomIn(socket: StatusSocket, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && socket.bufferedAmount > mostBufferedBytes)
    await sleep(lookAgainMs, undefined, { signal, ref: false }).catch(() => {})
}
