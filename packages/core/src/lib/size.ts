import { z } from 'zod'
import { parseQuantity, type Quantity } from './quantity.ts'

/**
 * Bytes as a number, or digits with a unit: `'512b'`, `'8kb'`, `'1.5mb'`, `'1gb'`, each 1024 of the one before. Pass
 * computed values as numbers.
 */
export type Size = Quantity<'b' | 'kb' | 'mb' | 'gb'>

const bytesIn: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['kb', 1024],
  ['mb', 1024 ** 2],
  ['gb', 1024 ** 3],
])

/**
 * The size in whole bytes, or undefined if it is none.
 *
 * @example
 * parseSize('8kb') // 8192
 * parseSize('large') // undefined
 */
export function parseSize(value: unknown): number | undefined {
  const bytes = parseQuantity(value, bytesIn)
  return bytes === undefined ? undefined : Math.round(bytes)
}

/** The hint in errors about values that are not sizes. */
export const sizeHint = "expected a size: bytes as a number, or text such as '512b', '8kb', '1.5mb', '1gb'"

/** The schema of an option that is a size; its output is in bytes. */
export function sizeOption({ min = 0, max = Number.MAX_SAFE_INTEGER } = {}) {
  const range =
    max < Number.MAX_SAFE_INTEGER ? `, from ${min} to ${max} bytes` : min > 0 ? `, at least ${min} bytes` : ''
  return z
    .custom<Size>((value) => {
      const bytes = parseSize(value)
      return bytes !== undefined && bytes >= min && bytes <= max
    }, sizeHint + range)
    .transform((value) => parseSize(value) ?? min)
}
