import { z } from 'zod'
import type { HandlerContext } from '../deliveries/handler-context.ts'
import type { HandlerMiddleware } from '../handling/middleware.ts'
import type { Clock } from '../lib/clock.ts'
import { MessagingError, toError } from '../lib/errors.ts'
import { functionSchema, hasFunctions, lazily, parseOptions } from '../lib/validation.ts'
import type { Message } from '../messages/message.ts'
import { clockSchema } from './clock-option.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What pino, winston and `console` have in common. */
export type Logger = { readonly [Level in LogLevel]: (...line: never[]) => unknown }

export interface LogOptions {
  /** Of the line before the handler is called; false: none. Default: `debug`. */
  readonly begin?: LogLevel | false
  /** Of the line after it has resolved, or skipped its message; false: none. Default: `info`. */
  readonly end?: LogLevel | false
  /** Of the line after it has failed. Default: `warn`: it may be tried again, and the event `deadLettered` tells if it is not. */
  readonly failure?: LogLevel
  /** What of a message is logged beside its names; nothing of its data unless this returns it. Default: nothing. */
  readonly fields?: (message: Message) => Readonly<Record<string, unknown>>
  /**
   * Whether the logger takes the fields before the text, as pino does, or after it, as winston and `console` do. Default: by the
   * logger: pino is told by its `bindings`.
   */
  readonly order?: 'fields-first' | 'text-first'
  /** For tests. Default: the process's. */
  readonly clock?: Clock
}

const levelSchema = lazily(() => z.enum(['debug', 'info', 'warn', 'error']))

const optionsSchema = lazily(() =>
  z.strictObject({
    begin: z.union([levelSchema(), z.literal(false)]).default('debug'),
    end: z.union([levelSchema(), z.literal(false)]).default('info'),
    failure: levelSchema().default('warn'),
    fields: functionSchema().optional(),
    order: z.enum(['fields-first', 'text-first']).optional(),
    clock: clockSchema(),
  }),
)

const loggerSchema = lazily(() =>
  z.custom<Logger>(
    (value) => hasFunctions(value, levelSchema().options),
    'expected a logger: an object with debug, info, warn and error',
  ),
)

/**
 * Logs each attempt: a structured line when it begins and one when it ends, with its topic, group, type, id, attempt and
 * correlation, how long it took and what it failed with. Data, keys and metadata are not logged, since they may be secret. A logger
 * that throws changes nothing for the message; a process warning tells of it.
 *
 * ```ts
 * bus.use({ handle: log(pino()) })
 * bus.use({ handle: log(console, { begin: false, fields: ({ metadata }) => ({ tenant: metadata.tenant }) }) })
 * ```
 *
 * @throws {ConfigurationError} when it is given no logger, or listing every problem of the options.
 */
export function log(logger: Logger, options: LogOptions = {}): HandlerMiddleware {
  parseOptions(loggerSchema(), logger, 'log middleware', 'logger')
  const { begin, end, failure, order, clock } = parseOptions(optionsSchema(), options, 'log middleware')
  const fieldsFirst = (order ?? ('bindings' in logger ? 'fields-first' : 'text-first')) === 'fields-first'

  const write = (level: LogLevel | false, text: string, fields: Readonly<Record<string, unknown>>) => {
    if (level === false) return
    try {
      // Called on the logger: some look at `this`.
      Reflect.apply(logger[level], logger, fieldsFirst ? [fields, text] : [text, fields])
    } catch (error) {
      warn(error)
    }
  }
  const about = (context: HandlerContext) => ({ ...namesOf(context), ...own(context.message) })
  const own = (message: Message) => {
    try {
      return options.fields?.(message)
    } catch (error) {
      warn(error)
      return undefined
    }
  }

  return async (context, next) => {
    const fields = about(context)
    const startedAt = clock.monotonic()
    const duration = () => ({ durationMs: Math.round(clock.monotonic() - startedAt) })
    write(begin, `handling ${context.message.type}`, fields)
    try {
      await next()
    } catch (error) {
      const { type } = context.message
      const { name, message } = toError(error)
      if (MessagingError.is(error) && error.code === 'skip') {
        write(end, `skipped ${type}`, { ...fields, ...duration(), reason: message })
      } else {
        write(failure, `failed to handle ${type}`, { ...fields, ...duration(), error: { name, message } })
      }
      throw error
    }
    write(end, `handled ${context.message.type}`, { ...fields, ...duration() })
  }
}

function namesOf({ topic, group, attempt, deliveries, message }: HandlerContext) {
  const { type, id, metadata } = message
  const { correlationId } = metadata
  const names = { topic, group, type, id, attempt, deliveries }
  return correlationId === undefined ? names : { ...names, correlationId }
}

function warn(error: unknown): void {
  process.emitWarning(`The log middleware could not log: ${toError(error).message}`, 'WaybillWarning')
}
