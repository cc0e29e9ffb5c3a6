export {
  type Database,
  type DatabaseIdempotencyStore,
  type Dialect,
  type Failure,
  type FailureEvents,
  type IdempotencyStoreOptions,
  Inbox,
  type InboxOptions,
  type Marked,
  type Migration,
  type Once,
  Outbox,
  type OutboxMessage,
  type OutboxOptions,
  type OutboxStats,
  type ParkedMessage,
  type ParkedPage,
  type ParkedSelection,
  type Queries,
  Relay,
  type RelayEvents,
  type RelayedMessage,
  type RelayHealth,
  type RelayOptions,
  type RelayStats,
  type RelayStopOptions,
  type Transaction,
} from '@waybill/database'
export type { PgliteClient, PostgresClient, PostgresPool } from './clients.ts'
export type { PostgresOptions } from './options.ts'
export { postgres } from './postgres.ts'
export { fromDrizzle } from './transactions/from-drizzle.ts'
export { fromKnex } from './transactions/from-knex.ts'
export { fromKysely } from './transactions/from-kysely.ts'
export { fromPg } from './transactions/from-pg.ts'
export { fromPrisma } from './transactions/from-prisma.ts'
