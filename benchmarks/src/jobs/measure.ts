import { runCallers } from '../callers.ts'
import { firstSequence, makeEvent } from '../event.ts'
import { Stopwatch } from '../stopwatch.ts'
import type { JobQueue, Reading } from './job-contender.ts'

export interface JobScale {
  /** How many jobs are added one by one, and as many in bulk. */
  readonly jobs: number
  /** How many wait besides. */
  readonly waiting: number
}

export interface Rate {
  readonly perSecond: number
  /** Of this process. */
  readonly cpuMicroseconds: number
}

export interface JobTurn {
  readonly rates: Readonly<Record<Reading, Rate>>
  /** Undefined: every job was handled, once, and those that were not are still there. */
  readonly problem: string | undefined
}

const callers = 256
const bulkSize = 500
const bulkCallers = 4
const concurrency = 100

/** Adds jobs until so many wait. */
export async function fill(queue: JobQueue, waiting: number): Promise<void> {
  const missing = waiting - (await queue.unended())
  await addInBulk(queue, missing)
}

/** Adds jobs singly, then in bulk, then handles as many as were added. */
export async function measureTurn(queue: JobQueue, { jobs, waiting }: JobScale): Promise<JobTurn> {
  await runCallers(
    async (event) => {
      await queue.add(event)
    },
    { callers, from: 0, goOn: (next) => next < jobs / 10 },
  )
  const added = jobs + jobs / 10
  const add = await timed(jobs, () =>
    runCallers(
      async (event) => {
        await queue.add(event)
      },
      { callers, from: jobs / 10, goOn: (next) => next < added },
    ),
  )
  const addBulk = await timed(jobs, () => addInBulk(queue, jobs))
  const before = await queue.unended()
  const { rate: complete, handled, stop } = await handleJobs(queue, added + jobs)
  await stop()
  const after = await queue.unended()
  const problems = [
    before !== waiting + added + jobs && `${before} jobs wait instead of ${waiting + added + jobs}`,
    before - after !== handled() && `${handled()} handled, but ${before - after} fewer wait`,
  ].filter((problem) => problem !== false)
  return {
    rates: { add, addBulk, complete },
    problem: problems.length === 0 ? undefined : problems.join('; '),
  }
}

async function addInBulk(queue: JobQueue, count: number): Promise<void> {
  let next = 0
  const caller = async () => {
    while (next < count) {
      const from = next
      next = Math.min(count, next + bulkSize)
      await queue.addBulk(Array.from({ length: next - from }, (_, index) => makeEvent(from + index)))
    }
  }
  await Promise.all(Array.from({ length: bulkCallers }, caller))
}

/** The rate of the last nine tenths. */
async function handleJobs(queue: JobQueue, count: number) {
  const warm = Math.floor(count / 10)
  const done = Promise.withResolvers<Rate>()
  let handled = 0
  let stopwatch = new Stopwatch()
  const handle = ({ sequence }: { readonly sequence: number }) => {
    if (sequence < firstSequence) throw new Error('No such job was added')
    handled += 1
    if (handled === warm) stopwatch = new Stopwatch()
    if (handled === count) done.resolve(rateOf(stopwatch, count - warm))
  }
  const stop = await queue.work(handle, concurrency)
  return { rate: await done.promise, handled: () => handled, stop }
}

async function timed(count: number, work: () => Promise<unknown>): Promise<Rate> {
  const stopwatch = new Stopwatch()
  await work()
  return rateOf(stopwatch, count)
}

function rateOf(stopwatch: Stopwatch, count: number): Rate {
  const { seconds, cpuMicroseconds } = stopwatch.read()
  return { perSecond: count / seconds, cpuMicroseconds: cpuMicroseconds / count }
}
