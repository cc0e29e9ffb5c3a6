import { z } from 'zod'

const hint = 'expected lower-case letters, digits and "_", beginning with a letter'

/** PostgreSQL cuts names after 63 bytes ("Identifiers and Key Words"); the longest of ours has 40 after the prefix. */
export function prefixOption() {
  return z.string().regex(/^(?:[a-z][a-z0-9_]{0,19})?$/, `${hint}; at most 20`)
}

export function schemaOption() {
  return z.string().regex(/^(?!pg_)[a-z][a-z0-9_]{0,62}$/, `${hint}, other than "pg_"; at most 63`)
}
