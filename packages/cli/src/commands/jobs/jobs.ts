import type { CommandFile } from '../../cli.ts'
import { cancel, promote, retry } from './change.ts'
import { list } from './list.ts'
import { schedules } from './schedules.ts'
import { show } from './show.ts'
import { stats } from './stats.ts'

/** Every command for jobs. A new one is a file and a line here. */
const files: readonly CommandFile[] = [stats, list, show, retry, cancel, promote, schedules]

export const jobs: CommandFile = (cli) => {
  const command = cli.command('jobs', 'Looks at background jobs, and retries, cancels or promotes them')
  for (const file of files) command.addCommand(file(cli))
  return command
}
