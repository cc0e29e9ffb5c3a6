/** For packages that make a database of another kind reachable, as `@waybill/postgres` and `@waybill/sqlite` do. */
export type { Connection } from './connection.ts'
export type { Database } from './database.ts'
export type { Dialect, FieldType } from './dialect.ts'
export { makeDatabase } from './make-database.ts'
export { prefixOption, schemaOption } from './names.ts'
export { runTransaction, runWork, type Session } from './run-transaction.ts'
export { SingleSession } from './single-session.ts'
export type { Queries, Transaction } from './transaction.ts'
