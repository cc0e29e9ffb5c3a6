import { ConfigurationError } from './errors.ts'

type Unit = 'ms' | 's' | 'm' | 'h' | 'd'

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9

// `${number}` would take '1e3s', ' 5s' and '-5s', which the parser refuses; a bigint takes a minus at most, and the digit
// in front rules it out. Fractions may begin with a zero, which a bigint may not.
type Fraction = `${bigint}` | `0${bigint}` | `00${bigint}`

/**
 * Milliseconds as a number, or digits with a unit: `'250ms'`, `'1.5s'`, `'5m'`, `'12h'`, `'7d'`. Pass computed values as
 * numbers.
 */
export type Duration =
  | number
  | (`${bigint}${Unit}` & `${Digit}${string}`)
  | (`${bigint}.${Fraction}${Unit}` & `${Digit}${string}`)

const millisecondsIn: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/

/**
 * The duration in milliseconds, or undefined if it is not one.
 *
 * @example
 * parseDuration('1.5s') // 1500
 * parseDuration('soon') // undefined
 */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  const match = pattern.exec(value)
  const factor = millisecondsIn[match?.[2] ?? '']
  return match?.[1] === undefined || factor === undefined ? undefined : Number(match[1]) * factor
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
