import type { MemoryNative } from '../memory/memory.ts'

/**
 * What `bus.native(name)` returns, by adapter name. Adapter packages add theirs by declaration merging:
 *
 * ```ts
 * declare module '@waybill/core' {
 *   interface NativeClients {
 *     readonly nats: NatsConnection
 *   }
 * }
 * ```
 */
export interface NativeClients {
  readonly [adapter: string]: unknown
  readonly memory: MemoryNative
}
