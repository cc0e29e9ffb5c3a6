/** One contender's turn, in a process of its own: what to do comes as argument, the result goes to the parent. */
import { type JobDestination, loadJobContender } from './job-contender.ts'
import { fill, type JobScale, measureTurn } from './measure.ts'

export interface JobTask {
  readonly contender: string
  readonly destination: JobDestination
  readonly step: 'fill' | 'measure'
  readonly scale: JobScale
}

const { contender: name, destination, step, scale }: JobTask = JSON.parse(process.argv[2] ?? '')
const contender = await loadJobContender(name)
const queue = await contender.setup(destination)
const result = step === 'fill' ? await fill(queue, scale.waiting) : await measureTurn(queue, scale)
await queue.teardown()
// Whatever a client leaves running must not keep the round from going on.
process.send?.(result ?? null, () => process.exit())
