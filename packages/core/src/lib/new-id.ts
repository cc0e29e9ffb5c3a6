import { systemClock } from './clock.ts'
import { rememberLast } from './remember-last.ts'

/** Time and version of the ids of a millisecond. */
const headOf = rememberLast((time: number) => {
  const digits = time.toString(16).padStart(12, '0')
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7`
})

/** A new UUIDv7 (RFC 9562, section 5.7): sorts by the millisecond it was made in. */
export function newId(): string {
  // After time and version, version 7 is what version 4 is: the variant among random bits.
  // By the global, which is loaded when it is first used: an import of node:crypto delays the start of every program.
  return headOf(systemClock.now()) + crypto.randomUUID().slice('xxxxxxxx-xxxx-4'.length)
}
