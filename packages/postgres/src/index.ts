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
  type Queries,
  type Transaction,
} from '@waybill/database'
export type { PgliteClient, PostgresClient, PostgresPool } from './clients.ts'
export type { PostgresOptions } from './options.ts'
export { postgres } from './postgres.ts'
