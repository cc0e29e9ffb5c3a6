/**
 * Where `claimCheck` keeps bodies. Ids are text such as `2026-11-29/0199f3a2-…`: a date (UTC), a slash, and lower-case
 * letters, digits, `-` and `.`, so that a store may keep a folder a day and sweep by age. A rejection is taken for a store
 * that is away, and the call is made again later, unless it is a `MessagingError` that is not retryable.
 *
 * @example
 * const bodies = new Map<string, Uint8Array>()
 * const store: ClaimStore = {
 *   put: async (id, body) => void bodies.set(id, body),
 *   get: async (id) => bodies.get(id),
 *   remove: async (id) => void bodies.delete(id),
 * }
 */
export interface ClaimStore {
  /** Resolves once the body is durable and every reader can get it. Ids are used once. */
  put(id: string, body: Uint8Array): Promise<void>
  /** Undefined: there is none of this id, or no longer. */
  get(id: string): Promise<Uint8Array | undefined>
  /** Resolves also when there is none. */
  remove(id: string): Promise<void>
}
