// As milliseconds this is in March 1973, as seconds in the year 5138.
const leastMilliseconds = 100_000_000_000
const digits = /^\d+(\.\d+)?$/
const iso = /^[+-]?\d{4,6}-\d{2}-\d{2}/
const zone = /(?:Z|[+-]\d{2}(?::?\d{2})?)$/i

/**
 * The time that a value stands for; undefined if it stands for none. Text with a date in front is ISO 8601, UTC when it
 * names no zone: it must not depend on the machine. Numbers, also as text, are seconds since 1970 below 10^11, and milliseconds
 * from there on.
 */
export function readTime(value: unknown): Date | undefined {
  const number = typeof value === 'string' && digits.test(value) ? Number(value) : value
  if (typeof number === 'number') {
    return valid(new Date(Math.round(Math.abs(number) < leastMilliseconds ? number * 1000 : number)))
  }
  if (typeof value !== 'string' || !iso.test(value)) return undefined
  const hasTime = value.length > 'YYYY-MM-DD'.length
  return valid(new Date(hasTime && !zone.test(value) ? `${value}Z` : value))
}

function valid(time: Date): Date | undefined {
  return Number.isNaN(time.getTime()) ? undefined : time
}
