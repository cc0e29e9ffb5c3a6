import { createHash } from 'node:crypto'

/**
 * A short digest in hexadecimal, to tell names apart that would otherwise be equal.
 *
 * @example
 * digestOf(['orders', 'billing']) // '0f343b0931ab'
 */
export function digestOf(parts: readonly string[], length = 12): string {
  return createHash('sha256').update(parts.join('/')).digest('hex').slice(0, length)
}

export interface NameRules {
  /** Between the parts. No plain part may contain it. */
  readonly joint: string
  /** Whether a part can be used unchanged. */
  readonly isPlain: (part: string) => boolean
  /** What a part becomes that cannot be used unchanged. */
  readonly clean: (part: string) => string
  /** The broker's limit for the whole name. Default: none. */
  readonly maxLength?: number
  readonly prefix?: string
  readonly suffix?: string
  /** The longest suffix that names of these parts are given, so that all of them begin alike. Default: the suffix's length. */
  readonly suffixRoom?: number
}

/**
 * One name for the parts that the broker accepts and that no other parts get: the parts unchanged if possible, otherwise
 * cleaned, shortened and with a digest.
 *
 * @example
 * const rules = {
 *   joint: '_',
 *   isPlain: (part: string) => /^[A-Za-z0-9-]+$/.test(part),
 *   clean: (part: string) => part.replaceAll(/[^A-Za-z0-9-]/g, '-'),
 *   maxLength: 80,
 * }
 * brokerName(['orders', 'billing'], rules) // 'orders_billing'
 * brokerName(['orders.v1', 'billing'], rules) // 'orders-v1_billing_' and a digest
 */
export function brokerName(parts: readonly string[], rules: NameRules): string {
  const { joint, isPlain, clean, maxLength = Number.POSITIVE_INFINITY, prefix = '', suffix = '' } = rules
  const plain = `${prefix}${parts.join(joint)}${suffix}`
  if (parts.every(isPlain) && plain.length <= maxLength) return plain
  const tail = `${joint}${digestOf(parts)}`
  const room = maxLength - prefix.length - tail.length - Math.max(suffix.length, rules.suffixRoom ?? 0)
  return `${prefix}${parts.map(clean).join(joint).slice(0, room)}${tail}${suffix}`
}
