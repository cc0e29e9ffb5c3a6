import type { CommandUnknownOpts } from '@commander-js/extra-typings'

/** What may stand where the user is typing. */
export interface Candidate {
  readonly value: string
  readonly description: string
}

/**
 * What completes the last of the words that were typed after the program's name. Nothing where anything may stand, such as
 * the name of a file.
 */
export function candidatesFor(program: CommandUnknownOpts, words: readonly string[]): readonly Candidate[] {
  const { command, position, option } = placeOf(program, words.slice(0, -1))
  const typed = words.at(-1) ?? ''
  return all().filter(({ value }) => value.startsWith(typed))

  function all(): readonly Candidate[] {
    if (option !== undefined) return choices(option.argChoices)
    if (typed.startsWith('-')) return optionsOf(command)
    if (command.commands.length === 0) return choices(command.registeredArguments[position]?.argChoices)
    const commands = command.createHelp().visibleCommands(command)
    return commands.map((each) => ({ value: each.name(), description: each.description() }))
  }
}

type CommandOption = CommandUnknownOpts['options'][number]

interface Place {
  readonly command: CommandUnknownOpts
  /** Of the argument that comes next. */
  readonly position: number
  /** The option whose value comes next. */
  readonly option: CommandOption | undefined
}

function placeOf(program: CommandUnknownOpts, words: readonly string[]): Place {
  let place: Place = { command: program, position: 0, option: undefined }
  for (const word of words) {
    const { command, position, option } = place
    if (option !== undefined) place = { command, position, option: undefined }
    else if (word.startsWith('-'))
      place = { command, position, option: wantingValue([command, program], word) }
    else if (command.commands.length === 0) place = { command, position: position + 1, option: undefined }
    else {
      // What is no command belongs to an option: bash takes a URL for several words.
      const next = command.commands.find((each) => each.name() === word)
      if (next !== undefined) place = { command: next, position: 0, option: undefined }
    }
  }
  return place
}

/** `--url`, but not `--url=redis://localhost`, nor `--watch`, whose value may be left out. */
function wantingValue(commands: readonly CommandUnknownOpts[], word: string): CommandOption | undefined {
  const options = commands.flatMap((command) => command.options)
  return options.find((option) => option.required && (option.long === word || option.short === word))
}

function optionsOf(command: CommandUnknownOpts): readonly Candidate[] {
  const help = command.createHelp()
  const options = [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)]
  return options.flatMap(({ long, description }) => (long ? [{ value: long, description }] : []))
}

function choices(values: readonly string[] = []): readonly Candidate[] {
  return values.map((value) => ({ value, description: '' }))
}
