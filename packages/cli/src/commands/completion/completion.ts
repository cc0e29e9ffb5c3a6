import { Argument } from '@commander-js/extra-typings'
import type { Cli } from '../../cli.ts'
import { candidatesFor } from './candidates.ts'
import { scripts } from './scripts.ts'

const shells = ['bash', 'zsh', 'fish'] as const

/** Adds `completion SHELL`, and the hidden command that the scripts of the shells call. */
export function addCompletion(cli: Cli): void {
  const { program } = cli
  const completion = cli
    .command('completion', 'Prints the completion script of a shell', [
      'source <(waybill completion bash)          # in ~/.bashrc; zsh alike in ~/.zshrc',
      'waybill completion fish | source           # in ~/.config/fish/config.fish',
    ])
    .addArgument(new Argument('<shell>').choices(shells))
    .action((shell) => cli.run(async ({ streams }) => void streams.stdout.write(scripts[shell])))
  const complete = cli
    .command('complete', 'Says what may stand where a word is typed')
    .argument('[words...]', 'what was typed after the name of the program, after --')
    .action((words) =>
      cli.run(async ({ streams }) => {
        for (const { value, description } of candidatesFor(program, words))
          streams.stdout.write(description === '' ? `${value}\n` : `${value}\t${description}\n`)
        return undefined
      }),
    )
  program.addCommand(completion)
  program.addCommand(complete, { hidden: true })
}
