import type { Contender, Destination, Participant } from './contender.ts'

/** How much of everything; the command line may change it. */
export interface Scale {
  /** How long timed sends last, after a warm-up of one second. */
  readonly seconds: number
  /** The backlog of (b) and (g). */
  readonly messages: number
  /** The backlog of (e). */
  readonly backlog: number
}

export type Readings = Readonly<Record<string, number>>

/** What one process of a work is given. */
export interface StepContext {
  readonly contender: Contender
  readonly destination: Destination
  readonly scale: Scale
  /** Of the work's steps before. */
  readonly earlier: Readings
}

export interface StepResult {
  readonly readings: Readings
  /** What the count at the end brought to light; the readings are then worth little. */
  readonly problem?: string | undefined
}

export type Step = (context: StepContext) => Promise<StepResult>

export interface Metric {
  /** The reading it is taken from. */
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'higher' | 'lower'
}

/** A task that every contender gets in the same way. */
export interface Work {
  readonly letter: string
  readonly title: string
  readonly ordered: boolean
  readonly metrics: readonly Metric[]
  /** Each runs in a fresh process, with the same destination. */
  readonly steps: readonly Step[]
}

/** Sets a contender up, lets it work, and closes it whatever happens. */
export async function withParticipant<Result>(
  { contender, destination }: StepContext,
  use: (participant: Participant) => Promise<Result>,
): Promise<Result> {
  const participant = await contender.setup(destination)
  try {
    return await use(participant)
  } finally {
    await participant.teardown()
  }
}
