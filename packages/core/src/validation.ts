import type { z } from 'zod'
import { ConfigurationError, type Issue } from './errors.ts'

/** Problems as zod reports them, each with its dotted path. */
export function toIssues(error: z.ZodError): Issue[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }))
}

/**
 * Parses options of users, strictly and as a whole. `at` is put before each path.
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
