import { parseOptions } from '@waybill/core/driver'
import { prefixOption, type Queries, schemaOption } from '@waybill/database/dialects'
import { z } from 'zod'
import type { PgliteClient, PostgresPool } from './clients.ts'

/** Exactly one of `url`, `pool`, `pglite` and `queries`. */
export interface PostgresOptions {
  /**
   * `postgres://user:password@host/database`: a pool is made, by `pg`, which has to be installed. `pglite:` or
   * `pglite:/path/of/a/folder` is the embedded database, by `@electric-sql/pglite`, in memory or in a folder.
   */
  readonly url?: string
  /**
   * A pool of yours, of `pg`; never ended by Waybill. Relays and job stores keep one of
   * its connections, for all databases over it, to be woken by.
   */
  readonly pool?: PostgresPool
  /** A `PGlite` of yours, never closed by Waybill. */
  readonly pglite?: PgliteClient
  /** Any other library, by the two methods that are used; a relay then polls. */
  readonly queries?: Queries
  /** Lower-case letters, digits and `_`. Made by `migrate()` if it is missing. Default: `waybill`. */
  readonly schema?: string
  /** Before the name of every table, at most 20 lower-case letters, digits and `_`. Default: none. */
  readonly prefix?: string
}

const having =
  (...methods: readonly string[]) =>
  (value: unknown) =>
    typeof value === 'object' &&
    value !== null &&
    methods.every((method) => typeof Reflect.get(value, method) === 'function')

const optionsSchema = z
  .strictObject({
    url: z
      .string()
      .regex(
        /^(?:postgres(?:ql)?:\/\/.|pglite:)/,
        'expected postgres://user:password@host/database, or pglite:/folder',
      )
      .optional(),
    pool: z.custom<PostgresPool>(having('connect', 'end'), 'expected a Pool of pg').optional(),
    pglite: z.custom<PgliteClient>(having('transaction', 'listen'), 'expected a PGlite').optional(),
    queries: z
      .custom<Queries>(having('query', 'transaction'), 'expected an object with query and transaction')
      .optional(),
    schema: schemaOption().default('waybill'),
    prefix: prefixOption().default(''),
  })
  .refine(
    ({ url, pool, pglite, queries }) =>
      [url, pool, pglite, queries].filter((each) => each !== undefined).length === 1,
    { message: 'expected exactly one of url, pool, pglite and queries' },
  )

/** @throws {ConfigurationError} with every problem. */
export function parsePostgresOptions(options: PostgresOptions) {
  return parseOptions(optionsSchema, options, 'postgres options')
}
