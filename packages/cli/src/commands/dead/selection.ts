import { type Command, type CommandUnknownOpts, Option, type OptionValues } from '@commander-js/extra-typings'
import type { DeadLetterFilter, DeadLetters, Duration } from '@waybill/core'
import { UsageError } from '../../failures/usage-error.ts'

/** The conditions of the command line, as commander gives them. */
// Types, not interfaces: commander wants options that may have any name.
export type FilterOptions = {
  readonly type?: string | undefined
  readonly reason?: string | undefined
  readonly error?: string | undefined
  readonly messageId?: string | undefined
  readonly olderThan?: string | undefined
  readonly newerThan?: string | undefined
}

const conditions: readonly (readonly [flags: string, description: string])[] = [
  ['-t, --type <pattern>', "letters of messages of this type; '*' is one segment, '#' any number"],
  ['-r, --reason <reason>', 'letters with this reason, such as attempts-exhausted'],
  ['-e, --error <text>', 'letters whose error has this name, or this text in its message'],
  ['-m, --message-id <id>', 'letters of the message with this id'],
  ['--older-than <duration>', 'given up at least so long ago'],
  ['--newer-than <duration>', 'given up at most so long ago'],
]

/** What says which letters something is done to. */
export type SelectionOptions = FilterOptions & {
  readonly all?: true | undefined
}

/** Adds the conditions that letters are chosen by. */
export function withFilter<Args extends unknown[], Opts extends OptionValues>(
  command: Command<Args, Opts>,
): Command<Args, Opts & FilterOptions>
export function withFilter(command: CommandUnknownOpts): CommandUnknownOpts {
  for (const [flags, description] of conditions) command.addOption(new Option(flags, description))
  return command
}

/** Adds what chooses letters that something is done to. */
export function withSelection<Args extends unknown[], Opts extends OptionValues>(
  command: Command<Args, Opts>,
): Command<Args, Opts & SelectionOptions>
export function withSelection(command: CommandUnknownOpts): CommandUnknownOpts {
  return withFilter(command).addOption(
    new Option('--all', 'every letter that there is when the command begins'),
  )
}

export function filterOf(options: FilterOptions): DeadLetterFilter {
  const { type, reason, error, messageId, olderThan, newerThan } = options
  return {
    ...(type !== undefined && { type }),
    ...(reason !== undefined && { reason }),
    ...(error !== undefined && { error }),
    ...(messageId !== undefined && { messageId }),
    // Checked by core, which says what is wrong with it.
    ...(olderThan !== undefined && { olderThan: olderThan as Duration }),
    ...(newerThan !== undefined && { newerThan: newerThan as Duration }),
  }
}

/** Which letters a command is about. */
export type Selection =
  | { readonly by: 'ids'; readonly ids: readonly string[] }
  | { readonly by: 'filter'; readonly filter: DeadLetterFilter }

/** @throws {UsageError} when nothing is chosen, or in two ways. */
export function selectionOf(ids: readonly string[], options: SelectionOptions): Selection {
  const filter = filterOf(options)
  const isFiltered = Object.keys(filter).length > 0
  const ways = [ids.length > 0, isFiltered, options.all === true].filter(Boolean).length
  if (ways === 0) throw new UsageError('Say which letters: give their ids, a filter such as --type, or --all')
  if (ways > 1) throw new UsageError('Choose letters in one way: by ids, by a filter, or with --all')
  return ids.length > 0 ? { by: 'ids', ids: [...new Set(ids)] } : { by: 'filter', filter }
}

/** The ids of the letters that are meant and are there now, oldest first; looking consumes nothing. */
export async function selectIds(
  deadLetters: DeadLetters,
  selection: Selection,
): Promise<{ readonly ids: readonly string[]; readonly missing: readonly string[] }> {
  const wanted = selection.by === 'ids' ? new Set(selection.ids) : undefined
  const ids: string[] = []
  for await (const { id } of deadLetters.list(selection.by === 'filter' ? selection.filter : {})) {
    if (wanted === undefined || wanted.delete(id)) ids.push(id)
    if (wanted?.size === 0) break
  }
  return { ids, missing: [...(wanted ?? [])] }
}
