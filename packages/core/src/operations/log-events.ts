import { z } from 'zod'
import type { Bus } from '../bus/bus.ts'
import { type EventLevel, errorOf, eventLevels, eventLine } from '../events/event-lines.ts'
import type { AnyBusEvent } from '../events/events.ts'
import { ConfigurationError, describe, MessagingError, toError } from '../lib/errors.ts'
import { hasFunctions, lazily, parseOptions } from '../lib/validation.ts'
import { requireBus } from './require-bus.ts'

export type { EventLevel } from '../events/event-lines.ts'

/** What pino, winston, bunyan, `console` and most other loggers have in common. */
export interface Logger {
  debug(...args: never[]): unknown
  info(...args: never[]): unknown
  warn(...args: never[]): unknown
  error(...args: never[]): unknown
}

export interface LogEventsOptions {
  /**
   * The least important events to write. `debug` writes a line for each message sent and handled; `info` connections and
   * what was skipped; `warn` retries and lost connections; `error` dead letters and failures. Default: `info`.
   */
  readonly level?: EventLevel
  /**
   * Which argument comes first, the fields or the text. Default: the fields for pino and bunyan, the text for others.
   */
  readonly first?: 'fields' | 'text'
}

const levels: readonly EventLevel[] = ['debug', 'info', 'warn', 'error']

const logSchema = lazily(() =>
  z.strictObject({
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    first: z.enum(['fields', 'text']).optional(),
  }),
)

/**
 * Writes the events of a bus to a logger: a sentence, with topic, group, type, id and attempt as fields. Bodies, keys and
 * headers are never written. What is logged is not written to the console as well. The result ends it.
 *
 * ```ts
 * logEvents(bus, pino())
 * logEvents(bus, winston.createLogger(…), { level: 'warn' })
 * logEvents(bus, console)
 * ```
 *
 * @throws {ConfigurationError} listing every problem of the arguments.
 */
export function logEvents(bus: Bus, logger: Logger, options: LogEventsOptions = {}): () => void {
  requireBus(bus, 'logEvents')
  if (!hasFunctions(logger, levels)) {
    const message = `expected a logger with ${levels.join(', ')}, not ${describe(logger)}`
    throw new ConfigurationError('logEvents', [{ path: 'logger', message }])
  }
  const { level, first = usualFirst(logger) } = parseOptions(logSchema(), options, 'logEvents')
  const least = levels.indexOf(level)
  return bus.observe(
    (heard) => {
      const itsLevel = eventLevels[heard.name]
      if (levels.indexOf(itsLevel) < least) return
      const { text } = eventLine(heard.name, heard.event)
      const fields = fieldsOf(heard, first)
      const args = first === 'fields' ? [fields, text] : [text, fields]
      Reflect.apply(logger[itsLevel], logger, args)
    },
    { reports: true },
  )
}

function usualFirst(logger: Logger): 'fields' | 'text' {
  const isPino = hasFunctions(logger, ['child', 'bindings'])
  const isBunyan = hasFunctions(logger, ['child', 'addSerializers'])
  return isPino || isBunyan ? 'fields' : 'text'
}

function fieldsOf({ name, event }: AnyBusEvent, first: 'fields' | 'text'): Record<string, unknown> {
  const fields: Record<string, unknown> = { event: name }
  for (const [field, value] of Object.entries(event)) {
    // A warning's own text is the line already, and winston would add it a second time.
    if (field === 'message') continue
    if (typeof value === 'string' || typeof value === 'number') fields[field] = value
  }
  const message = 'message' in event && typeof event.message === 'object' ? event.message : undefined
  if (message !== undefined) {
    fields.type = message.type
    fields.id = message.id
  }
  const error = errorOf(event)
  // `err` is the name that pino and bunyan have a serializer for; others write an Error as an empty object.
  if (error !== undefined) {
    if (first === 'fields') fields.err = error
    else fields.error = plainError(error)
  }
  return fields
}

function plainError(thrown: Error): Record<string, unknown> {
  const error = toError(thrown)
  const { name, message, stack } = error
  return { name, message, ...(MessagingError.is(error) && { code: error.code }), stack }
}
