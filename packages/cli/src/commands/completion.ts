import tab from '@bomb.sh/tab/commander'
import { Command } from 'commander'
import type { Cli } from '../cli.ts'

/** Adds `completion SHELL`, and the hidden command that the scripts of the shells call. After all others: it reads them. */
export function addCompletion({ program }: Cli): void {
  // The types of commander and of its stricter typings do not fit each other, though the class is the same.
  const plain: unknown = program
  if (!(plain instanceof Command)) return
  tab(plain, { completionCommandName: 'completion' })
  for (const command of plain.commands) {
    if (command.name() === 'completion') command.description('Prints the completion script of a shell')
  }
}
