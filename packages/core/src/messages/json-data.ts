import {
  isAnyArrayBuffer,
  isBoxedPrimitive,
  isDate,
  isMap,
  isNativeError,
  isPromise,
  isRegExp,
  isSet,
} from 'node:util/types'
import type { Issue } from '../lib/errors.ts'

// Deeper than this, data is first given to JSON.stringify, which finds cycles.
const shallow = 100

/**
 * What of the data would not arrive as it is, with the path of each: JSON leaves it out or changes it without a word.
 * A property that is undefined arrives as absent, a `toJSON` (a Date's too) is taken at its word, and -0 arrives as 0.
 */
export function unwritable(data: unknown): Issue[] {
  const issues: Issue[] = []
  check(data, '', '', 0, issues)
  return issues
}

function check(value: unknown, key: string, path: string, depth: number, issues: Issue[]): void {
  const problem = problemOf(value)
  if (problem !== undefined) issues.push({ path, message: problem })
  else if (typeof value === 'object' && value !== null) checkObject(value, key, path, depth, issues)
}

function checkObject(value: object, key: string, path: string, depth: number, issues: Issue[]): void {
  if (depth === shallow) JSON.stringify(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const written: unknown = value.toJSON(key)
    // Only once: JSON does not ask what a toJSON gave for its own.
    const problem = problemOf(written)
    if (problem !== undefined)
      issues.push({ path, message: `its toJSON gave what cannot travel: ${problem}` })
    else if (typeof written === 'object' && written !== null) checkFields(written, path, depth, issues)
    return
  }
  checkFields(value, path, depth, issues)
}

function checkFields(value: object, path: string, depth: number, issues: Issue[]): void {
  const at = (key: string | number) => (path === '' ? String(key) : `${path}.${key}`)
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const item: unknown = value[index]
      if (item === undefined)
        issues.push({ path: at(index), message: 'undefined in an array arrives as null' })
      else if (!isSimple(item)) check(item, String(index), at(index), depth + 1, issues)
    }
    return
  }
  for (const [key, field] of Object.entries(value)) {
    if (!isSimple(field) && field !== undefined) check(field, key, at(key), depth + 1, issues)
  }
}

/** What most data is, without a call for it. */
function isSimple(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || value === null
}

function problemOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'number':
      return numberProblem(value)
    case 'bigint':
      // Some programs give BigInt a toJSON.
      return 'toJSON' in BigInt.prototype ? undefined : 'a BigInt cannot be written as JSON; send it as text'
    case 'function':
      return 'a function cannot be written as JSON'
    case 'symbol':
      return 'a symbol cannot be written as JSON'
    case 'object':
      return value === null ? undefined : objectProblem(value)
    default:
      return undefined
  }
}

function numberProblem(value: number): string | undefined {
  if (!Number.isFinite(value)) return `${value} cannot be written as JSON; it would arrive as null`
  // From 10^21 on it is written with an exponent, as what it is: no exact number.
  if (Number.isSafeInteger(value) || !Number.isInteger(value) || Math.abs(value) >= 1e21) return undefined
  return `${value} is beyond 2^53, where whole numbers lose their last digits; send it as text`
}

function objectProblem(value: object): string | undefined {
  if (ArrayBuffer.isView(value) || isAnyArrayBuffer(value)) {
    return 'bytes within data cannot be written as JSON; send a Uint8Array as the data itself, or base64 text'
  }
  if (isDate(value)) return Number.isNaN(value.getTime()) ? 'an invalid Date would arrive as null' : undefined
  if (Array.isArray(value) || isBoxedPrimitive(value)) return undefined
  const prototype: object | null = Object.getPrototypeOf(value)
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
  if (isPlain || 'toJSON' in value) return undefined
  const isOpaque = isMap(value) || isSet(value) || isNativeError(value) || isPromise(value) || isRegExp(value)
  if (!isOpaque && Object.keys(value).length > 0) return undefined
  const name = value.constructor?.name ?? 'object'
  return `a ${name} cannot be written as JSON; send a plain object or an array of what it holds`
}
