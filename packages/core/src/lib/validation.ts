import { z } from 'zod'
import { ConfigurationError, type Issue } from './errors.ts'

/**
 * Makes a schema once, when it is first used. Making all of them took 40 % of the package's loading time, and a process
 * seldom uses all of them.
 */
export function lazily<Schema>(make: () => Schema): () => Schema {
  let made: Schema | undefined
  return () => {
    made ??= make()
    return made
  }
}

/** Options plus what users give as arguments; what is not an object stays as it is, for the schema to refuse. */
export function withFields(options: unknown, fields: Readonly<Record<string, unknown>>): unknown {
  if (options === undefined) return fields
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options
  return { ...options, ...fields }
}

/** A function that users give, such as a listener or a handler. */
export const functionSchema = lazily(() =>
  z.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', 'expected a function'),
)

/** Text that is the same on the other side of any transport: half a character would come out as U+FFFD. */
export const wholeText = () =>
  z.string().refine((value) => value.isWellFormed(), 'expected text without lone surrogates')

/** Whether a value has these methods, own or inherited. */
export function hasFunctions(value: unknown, names: readonly string[]): boolean {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  return isObject && names.every((name) => typeof Reflect.get(value, name) === 'function')
}

/** Problems as zod reports them, each with its dotted path. */
export function toIssues(error: z.ZodError): Issue[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }))
}

/**
 * Parses users' options strictly and reports all problems at once. `at` is put before each path.
 *
 * @example
 * const options = parseOptions(optionsSchema, context.native, 'nats options', 'native.nats')
 *
 * @throws {ConfigurationError} with every problem.
 */
export function parseOptions<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
  at = '',
): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = toIssues(result.error)
  throw new ConfigurationError(
    what,
    at === ''
      ? issues
      : issues.map(({ path, message }) => ({ path: path === '' ? at : `${at}.${path}`, message })),
  )
}
