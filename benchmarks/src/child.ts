/** One step of a work by one contender, in a process of its own: the job comes as argument, the result goes to the parent. */
import { loadContender } from './load-contender.ts'
import type { Job } from './measure.ts'
import { workOf } from './works/index.ts'

const job: Job = JSON.parse(process.argv[2] ?? '')
const step = workOf(job.letter).steps[job.step]
if (step === undefined) throw new Error(`Work ${job.letter} has no step ${job.step}`)
const contender = await loadContender(job.destination.broker, job.contender)
const { destination, scale, earlier } = job
const result = await step({ contender, destination, scale, earlier })
// Whatever a client leaves running must not keep the round from going on.
process.send?.(result, () => process.exit())
