import type { Dialect } from './dialect.ts'
import type { Queries } from './transaction.ts'

/** What a package for one database implements. */
export interface Connection extends Queries {
  readonly dialect: Dialect
  /**
   * Calls back whenever somebody, in any process, has notified. Undefined: the database cannot. The result ends it. `onLost`
   * tells that notifications may have been missed; the caller listens again. Rejects
   * with `unsupported` when it makes no sense to try again.
   */
  listen?(onNotification: () => void, onLost: (error: Error) => void): Promise<() => Promise<void>>
  /** Ends what was opened for Waybill; what the application gave stays open. */
  close(): Promise<void>
}
