import { type Duration, MessagingError, PermanentError, RetryAfter } from '@waybill/core'
import { ConfigurationError, parseOptions, systemClock } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'
import type { JobContext, JobHandler, RunningJob } from '../working/job-context.ts'
import { type Child, processChild, threadChild } from './child.ts'

export interface IsolatedOptions {
  /** A `process` costs more than a `thread`, and what ends it ends nothing else. Default: `thread`. */
  readonly in?: 'thread' | 'process'
  /** How long a handler gets to end when its signal has fired, before its thread or process is ended. Default: `1s`. */
  readonly killAfter?: Duration
}

const optionsSchema = z.strictObject({
  in: z.enum(['thread', 'process']).default('thread'),
  killAfter: durationOption().default(1000),
})

const messageSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('progress'), value: z.unknown() }),
  z.object({ kind: z.literal('log'), text: z.string() }),
  z.object({ kind: z.literal('children'), id: z.number() }),
  z.object({ kind: z.literal('done'), output: z.unknown() }),
  z.object({
    kind: z.literal('failed'),
    error: z.object({
      name: z.string(),
      message: z.string(),
      code: z.unknown(),
      delay: z.unknown(),
    }),
  }),
])

/**
 * A handler that runs in a thread or process of its own, for work that keeps a CPU busy: the worker's event loop stays free, so leases
 * are renewed and other jobs go on. The module's default export is the handler; data, progress and result are copied. Threads and
 * processes are kept for the next job, as many as run at once. A handler that ignores its signal is ended with them.
 *
 * ```ts
 * // render.ts: export default async ({ data }, { progress }) => renderPdf(data, progress)
 * worker.handle(RenderInvoice, isolated(new URL('./render.ts', import.meta.url)))
 * ```
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function isolated(module: URL, options: IsolatedOptions = {}): JobHandler<unknown, never, never> {
  const { in: place, killAfter } = parseOptions(optionsSchema, options, 'options of isolated')
  if (!(module instanceof URL))
    throw new ConfigurationError('isolated', [
      { path: 'module', message: 'expected a URL, by import.meta.url' },
    ])
  const idle: Child[] = []
  return async (job, context) => {
    const child = idle.pop() ?? (place === 'thread' ? threadChild() : processChild())
    child.hold(true)
    let isAlive = true
    try {
      return await runIn(child, module, job, context, killAfter, () => {
        isAlive = false
      })
    } finally {
      if (isAlive) rest(child, idle)
    }
  }
}

/** Keeps a child that nobody uses; it keeps no process alive. */
function rest(child: Child, idle: Child[]): void {
  child.onMessage = () => {}
  child.onEnd = () => {
    const place = idle.indexOf(child)
    if (place >= 0) idle.splice(place, 1)
  }
  child.hold(false)
  idle.push(child)
}

function runIn(
  child: Child,
  module: URL,
  job: RunningJob,
  context: JobContext<never, never>,
  killAfterMs: number,
  onDeath: () => void,
): Promise<never> {
  const { signal, attempt, attempts } = context
  return new Promise((resolve, reject) => {
    let cancelKill = () => {}
    const end = () => {
      cancelKill()
      signal.removeEventListener('abort', abort)
    }
    const abort = () => {
      child.send({ kind: 'abort', reason: String(signal.reason) })
      cancelKill = systemClock.after(killAfterMs, () => {
        onDeath()
        end()
        child.kill()
        reject(new MessagingError('aborted', `The job ${job.id} did not end by its signal and was ended`))
      })
    }
    child.onEnd = (reason) => {
      onDeath()
      end()
      reject(reason)
    }
    child.onMessage = (received) => {
      const message = messageSchema.parse(received)
      switch (message.kind) {
        case 'ready':
          return
        case 'progress':
          context.progress(message.value as never)
          return
        case 'log':
          context.log(message.text)
          return
        case 'children':
          context
            .children()
            .then((children) => child.send({ kind: 'children', id: message.id, children }))
            .catch(reject)
          return
        case 'done':
          end()
          resolve(message.output as never)
          return
        case 'failed':
          end()
          reject(errorOf(message.error))
      }
    }
    signal.addEventListener('abort', abort, { once: true })
    child.send({ kind: 'run', module: module.href, job, attempt, attempts })
    if (signal.aborted) abort()
  })
}

/** An error of the child's, with what the retry policy looks at. */
function errorOf({
  name,
  message,
  code,
  delay,
}: {
  readonly name: string
  readonly message: string
  readonly code?: unknown
  readonly delay?: unknown
}): Error {
  if (code === 'permanent') return new PermanentError(message)
  if (code === 'retry-after' && typeof delay === 'number') return new RetryAfter(delay, message)
  return Object.assign(new Error(message), { name })
}
