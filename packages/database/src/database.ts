import type { Dialect } from './dialect.ts'
import type { FailureEvents } from './emitter.ts'
import type { DatabaseIdempotencyStore, IdempotencyStoreOptions } from './idempotency/idempotency-store.ts'
import type { Inbox, InboxOptions } from './inbox/inbox.ts'
import type { Migration } from './migrations/migration.ts'
import type { Outbox, OutboxOptions } from './outbox.ts'
import type { Queries } from './transaction.ts'

/**
 * A database that Waybill keeps its tables in. Made by `postgres` of `@waybill/postgres` or `sqlite` of `@waybill/sqlite`; all
 * that follows is the same on each.
 *
 * Conditions that are known (no tables, no rights, read-only, not reachable, …) reject with a `MessagingError` whose cause is
 * the client's error; what else a statement of yours fails with, such as a unique index, is the client's own error.
 */
export interface Database extends Queries, AsyncDisposable {
  readonly dialect: Dialect
  /**
   * Makes or updates the tables, all or nothing; processes that do it at once wait for each other. Resolves with the names of
   * the steps that were applied.
   *
   * @throws {MessagingError} `topology-mismatch` when the schema is of a newer version, or not ours; `access-denied`.
   */
  migrate(): Promise<readonly string[]>
  /** The same as plain SQL, for a tool of your own. Each step records itself. */
  migrations(): readonly Migration[]
  /**
   * Gives each message one effect in this database.
   *
   * @example
   * const inbox = database.inbox({ window: '30d' })
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  inbox(options?: InboxOptions): Inbox
  /**
   * Keeps messages in the transaction of the change that they tell of, for a relay to send.
   *
   * @example
   * const outbox = database.outbox({ source: 'checkout' })
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  outbox(options?: OutboxOptions): Outbox
  /**
   * Marks of what had its effect, shared by all processes, for effects that are not in this database.
   *
   * @example
   * bus.consumer('billing', { idempotency: database.idempotencyStore() })
   *
   * @throws {ConfigurationError} with every problem of the options.
   */
  idempotencyStore(options?: IdempotencyStoreOptions): DatabaseIdempotencyStore
  /** Listens to what failed in the background; without a listener it is a process warning. */
  on<Name extends keyof FailureEvents>(name: Name, listener: (event: FailureEvents[Name]) => void): void
  off<Name extends keyof FailureEvents>(name: Name, listener: (event: FailureEvents[Name]) => void): void
  /**
   * Calls back when somebody may have committed something that concerns Waybill, in any process where the database can tell it
   * (PostgreSQL and PGlite), else never. Calls may come without a cause; those missed while a connection was lost are made up for by
   * one. The result ends it. For packages that keep tables of their own in the database.
   */
  onNotification(listener: () => void): () => void
  /** Ends what runs in the background, and the connections that were opened for it; a pool of yours stays open. */
  close(): Promise<void>
}
