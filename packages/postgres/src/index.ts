export type { Database, Dialect, Migration, Queries, Transaction } from '@waybill/database'
export type { PgliteClient, PostgresClient, PostgresPool } from './clients.ts'
export type { PostgresOptions } from './options.ts'
export { postgres } from './postgres.ts'
