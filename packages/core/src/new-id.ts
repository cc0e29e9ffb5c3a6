import { randomFillSync } from 'node:crypto'
import { v7 } from 'uuid'

// Asking the system for 16 bytes at a time costs more than sending a message does.
const pool = Buffer.allocUnsafe(4096)
let used = pool.length

function rng(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += 16
  return pool.subarray(used - 16, used)
}

/** A new UUIDv7 (RFC 9562, section 5.7): sorts by the millisecond it was made in. */
export function newId(): string {
  return v7({ rng })
}
