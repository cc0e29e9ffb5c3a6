import type { CommandFile } from '../../cli.ts'
import { discard } from './discard.ts'
import { editAndReplay } from './edit-and-replay.ts'
import { exportLetters } from './export.ts'
import { importLetters } from './import.ts'
import { list } from './list.ts'
import { replay } from './replay.ts'
import { show } from './show.ts'

/** Every command for dead letters. A new one is a file and a line here. */
const files: readonly CommandFile[] = [
  list,
  show,
  replay,
  editAndReplay,
  discard,
  exportLetters,
  importLetters,
]

export const dead: CommandFile = (cli) => {
  const command = cli.command(
    'dead',
    'Looks at dead letters, sends them back to their group, or removes them',
  )
  for (const file of files) command.addCommand(file(cli))
  return command
}
