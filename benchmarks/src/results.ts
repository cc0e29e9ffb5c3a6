import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Broker } from './contender.ts'
import type { Machine } from './machine.ts'
import { median } from './statistics.ts'
import type { Readings, Scale } from './work.ts'

export interface Round {
  readonly readings: Readings
  readonly problem?: string | undefined
  /** The machine's load average just before, to judge the reading by. */
  readonly load: number
}

export interface ContenderResult {
  readonly contender: string
  readonly guarantees: string
  readonly rounds: readonly Round[]
}

/** One work on one broker: all contenders, in turns, in one run. */
export interface WorkResult {
  readonly broker: Broker
  readonly letter: string
  readonly takenAt: string
  readonly machine: Machine
  readonly scale: Scale
  readonly contenders: readonly ContenderResult[]
}

/** The readings of the rounds that counted; a round with a problem does not. */
export function readingsOf({ rounds }: ContenderResult, metric: string): number[] {
  return rounds.flatMap(({ readings, problem }) => {
    const reading = readings[metric]
    return problem === undefined && typeof reading === 'number' ? [reading] : []
  })
}

export function medianOf(result: ContenderResult | undefined, metric: string): number {
  return result === undefined ? Number.NaN : median(readingsOf(result, metric))
}

export async function saveResult(folder: string, result: WorkResult): Promise<void> {
  await mkdir(folder, { recursive: true })
  const file = join(folder, `${result.broker}-${result.letter}.json`)
  await writeFile(file, `${JSON.stringify(result, undefined, 2)}\n`)
}

export async function loadResults(folder: string): Promise<WorkResult[]> {
  const files = (await readdir(folder)).filter((file) => /^[a-z]+-[a-h]\.json$/.test(file)).sort()
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  return texts.map((text): WorkResult => JSON.parse(text))
}
