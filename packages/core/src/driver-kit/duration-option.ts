import { z } from 'zod'
import { type Duration, durationHint, parseDuration } from '../lib/duration.ts'

/**
 * The schema of an option that is a duration; its output is in milliseconds.
 *
 * @example
 * z.strictObject({ requestTimeout: durationOption({ min: 1 }).default(10_000) })
 */
export function durationOption({ min = 0, max = Number.POSITIVE_INFINITY } = {}) {
  const message = `${durationHint}${range(min, max)}`
  return z
    .custom<Duration>((value) => {
      const parsed = parseDuration(value)
      return parsed !== undefined && parsed >= min && parsed <= max
    }, message)
    .transform((value) => parseDuration(value) ?? min)
}

function range(min: number, max: number): string {
  if (Number.isFinite(max)) return `, from ${min} to ${max} ms`
  return min > 0 ? `, at least ${min} ms` : ''
}
