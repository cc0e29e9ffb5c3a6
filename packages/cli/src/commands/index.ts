import type { Cli, CommandFile } from '../cli.ts'
import { bridge } from './bridge.ts'
import { addCompletion } from './completion/completion.ts'
import { dead } from './dead/dead.ts'
import { doctor } from './doctor/doctor.ts'
import { drain } from './drain.ts'
import { groups } from './groups.ts'
import { jobs } from './jobs/jobs.ts'
import { seek } from './seek.ts'
import { send } from './send/send.ts'
import { stats } from './stats.ts'
import { tail } from './tail.ts'
import { topics } from './topics.ts'
import { apply } from './topology/apply.ts'
import { plan } from './topology/plan.ts'

/** Every command, in the order of the help. A new one is a file and a line here. */
const files: readonly CommandFile[] = [
  topics,
  groups,
  stats,
  dead,
  send,
  tail,
  seek,
  drain,
  jobs,
  bridge,
  plan,
  apply,
  doctor,
]

export function addCommands(cli: Cli): void {
  for (const file of files) cli.program.addCommand(file(cli))
  addCompletion(cli)
}
