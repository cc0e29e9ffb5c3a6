export * from '@waybill/database'
export type { SqliteOptions } from './options.ts'
export { sqlite } from './sqlite.ts'
