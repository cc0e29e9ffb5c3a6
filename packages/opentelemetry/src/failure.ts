import { errorType } from '@waybill/figures'

/** What something failed by, which may be any value. */
export interface Failure {
  readonly error: unknown
}

export function typeOf(failure: Failure | undefined): string | undefined {
  return failure && errorType(failure.error)
}

/** Seconds since a `performance.now()`. */
export function since(startedAt: number): number {
  return (performance.now() - startedAt) / 1000
}
