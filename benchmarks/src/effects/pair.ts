import { median } from '../statistics.ts'

/** What one turn took: time that passed, and time of this process's processors. The server's is in neither but the first. */
export interface Taken {
  readonly seconds: number
  readonly cpuSeconds: number
}

/** Two ways to do the same. */
export interface Pair {
  readonly title: string
  /** Of the time that passed: above 1 Waybill is faster. */
  readonly target: number
  /** That count. */
  readonly rounds: number
  /** Before them, until the code of both sides is compiled. */
  readonly warmUp: number
  ours(): Promise<Taken>
  theirs(): Promise<Taken>
}

export interface Ratios {
  readonly time: number
  readonly cpu: number
  /** Of the rounds, by time. */
  readonly worst: number
  readonly best: number
}

export async function measured(work: () => Promise<unknown>): Promise<Taken> {
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await work()
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(before)
  return { seconds, cpuSeconds: (user + system) / 1e6 }
}

/** Calls `work` so many times, from some callers at once. */
export async function callMany(count: number, callers: number, work: (n: number) => Promise<unknown>) {
  let next = 0
  const caller = async () => {
    for (let n = next++; n < count; n = next++) await work(n)
  }
  await Promise.all(Array.from({ length: callers }, caller))
}

/** Both sides in turns, each first every other time; medians of the ratios within the rounds. */
export async function ratiosOf({ ours, theirs, rounds, warmUp }: Pair): Promise<Ratios> {
  const times: number[] = []
  const cpus: number[] = []
  for (let round = -warmUp; round < rounds; round += 1) {
    const oursFirst = round % 2 === 0 ? await ours() : undefined
    const their = await theirs()
    const our = oursFirst ?? (await ours())
    if (round < 0) continue
    times.push(their.seconds / our.seconds)
    cpus.push(their.cpuSeconds / our.cpuSeconds)
  }
  return { time: median(times), cpu: median(cpus), worst: Math.min(...times), best: Math.max(...times) }
}
