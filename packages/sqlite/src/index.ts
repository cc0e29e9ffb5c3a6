export type { Database, Dialect, Migration, Queries, Transaction } from '@waybill/database'
export type { SqliteOptions } from './options.ts'
export { sqlite } from './sqlite.ts'
