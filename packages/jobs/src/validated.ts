import type { StandardSchemaV1 } from '@standard-schema/spec'
import { InvalidMessageError, type Issue } from '@waybill/core'

/** @throws {InvalidMessageError} listing every problem. */
export async function validated(
  schema: StandardSchemaV1 | undefined,
  value: unknown,
  what: string,
): Promise<unknown> {
  if (schema === undefined) return value
  const result = await schema['~standard'].validate(value)
  if (result.issues === undefined) return result.value
  throw new InvalidMessageError(what, result.issues.map(toIssue))
}

function toIssue({ path = [], message }: StandardSchemaV1.Issue): Issue {
  return {
    path: path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
    message,
  }
}
