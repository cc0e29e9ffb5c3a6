import { type Duration, parseOptions } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { prefixOption } from '@waybill/database/dialects'
import { z } from 'zod'

export interface SqliteOptions {
  /** Of the file, which is made if it is missing; `:memory:` for one that ends with the process. */
  readonly path: string
  /** Before the name of every table: lower-case letters, digits and `_`, at most 20. Default: `waybill_`. */
  readonly prefix?: string
  /** How long to wait while another process writes, up to 10 min. Default: `10s`. */
  readonly busyTimeout?: Duration
}

const optionsSchema = z.strictObject({
  path: z.string().min(1),
  prefix: prefixOption().default('waybill_'),
  busyTimeout: durationOption({ max: 600_000 }).default(10_000),
})

/** @throws {ConfigurationError} with every problem. */
export function parseSqliteOptions(options: SqliteOptions) {
  return parseOptions(optionsSchema, options, 'sqlite options')
}
