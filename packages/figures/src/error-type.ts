import { MessagingError } from '@waybill/core'

// Names of errors can be made up at run time.
const mostNames = 50
const names = new Set<string>()

/**
 * What kind of error it is: the code of a `MessagingError`, else its name. Names beyond the first 50 are `_OTHER`.
 *
 * @example
 * errorType(new TypeError('x is not a function')) // 'TypeError'
 */
export function errorType(error: unknown): string {
  if (MessagingError.is(error)) return error.code
  const name = nameOf(error)
  if (!names.has(name)) {
    if (names.size >= mostNames) return '_OTHER'
    names.add(name)
  }
  return name
}

// What was thrown may throw again when it is looked at.
function nameOf(error: unknown): string {
  try {
    return error instanceof Error && typeof error.name === 'string' ? error.name.slice(0, 100) : '_OTHER'
  } catch {
    return '_OTHER'
  }
}
