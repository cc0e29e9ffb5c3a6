import { type Command, type CommandUnknownOpts, Option, type OptionValues } from '@commander-js/extra-typings'
import type { JobStoreOptions } from '../../connection/job-store.ts'

/** Adds what says where the jobs are. */
export function withStore<Args extends unknown[], Opts extends OptionValues>(
  command: Command<Args, Opts>,
): Command<Args, Opts & JobStoreOptions>
export function withStore(command: CommandUnknownOpts): CommandUnknownOpts {
  return command
    .addOption(
      new Option('-s, --store <url>', 'where the jobs are: postgres://…, redis://… or sqlite:FILE').env(
        'WAYBILL_STORE',
      ),
    )
    .option('--schema <name>', 'of the tables in PostgreSQL (default: waybill)')
    .option('--prefix <text>', "of the tables' names")
    .option('--store-name <name>', 'of one of several stores in Redis (default: main)')
}
