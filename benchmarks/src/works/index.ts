import type { Work } from '../work.ts'
import { backlog } from './backlog.ts'
import { coldStart } from './cold-start.ts'
import { concurrentConsuming } from './concurrent-consuming.ts'
import { concurrentSends } from './concurrent-sends.ts'
import { latency } from './latency.ts'
import { ordered } from './ordered.ts'
import { sequentialSends } from './sequential-sends.ts'

/** By letter. (f), CPU time a message, is read while (a) and (b) run. */
export const works: readonly Work[] = [
  concurrentSends,
  concurrentConsuming,
  sequentialSends,
  latency,
  backlog,
  ordered,
  coldStart,
]

export function workOf(letter: string): Work {
  const work = works.find((each) => each.letter === letter)
  if (work === undefined) throw new Error(`There is no work ${letter}`)
  return work
}
