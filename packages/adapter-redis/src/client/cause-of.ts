import { toError } from '@waybill/core/driver'

/** A cluster client that failed to connect says that it did; what happened at the last node it keeps apart. */
export function causeOf(thrown: unknown): Error {
  const error = toError(thrown)
  const cause: unknown = Reflect.get(error, 'lastNodeError')
  return cause instanceof Error ? cause : error
}
