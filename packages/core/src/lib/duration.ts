import { ConfigurationError } from './errors.ts'
import { parseQuantity, type Quantity } from './quantity.ts'

/**
 * Milliseconds as a number, or digits with a unit: `'250ms'`, `'1.5s'`, `'5m'`, `'12h'`, `'7d'`. Pass computed values as
 * numbers.
 */
export type Duration = Quantity<'ms' | 's' | 'm' | 'h' | 'd'>

const millisecondsIn: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])

/**
 * The duration in milliseconds, or undefined if it is not one.
 *
 * @example
 * parseDuration('1.5s') // 1500
 * parseDuration('soon') // undefined
 */
export function parseDuration(value: unknown): number | undefined {
  return parseQuantity(value, millisecondsIn)
}

/** The hint in errors about values that are not durations. */
export const durationHint =
  "expected a duration: milliseconds as a number, or text such as '250ms', '5s', '10m', '12h', '7d'"

/**
 * The duration in milliseconds.
 *
 * @example
 * toMilliseconds('5m') // 300_000
 *
 * @throws {ConfigurationError} when it is not one; `path` names the option.
 */
export function toMilliseconds(value: Duration | string, path = 'duration'): number {
  const parsed = parseDuration(value)
  if (parsed === undefined) throw new ConfigurationError('duration', [{ path, message: durationHint }])
  return parsed
}
