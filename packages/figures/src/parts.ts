import { type Bus, type Group, MessagingError, type TraceContext, type WorkerHealth } from '@waybill/core'
import { type Figure, figures, type Labels } from './figure.ts'
import { LabelSets } from './label-sets.ts'

/** The value of a gauge. */
export interface Reading {
  readonly figure: Figure
  readonly labels: Labels
  readonly value: number
}

/** Whatever says how much is in an outbox: a relay, or its outbox. */
export interface CountedOutbox {
  stats(): Promise<{
    readonly waiting: number
    readonly parked: number
    readonly oldestAgeMs: number
    readonly held?: number
  }>
}

type Around<Context> = (context: Context, next: () => Promise<void>) => Promise<void>

/** The jobs of a store: what `openJobs` makes. */
export interface MeasuredJobs {
  counts(): Promise<Readonly<Record<string, number>>>
  workerHealth(): readonly WorkerHealth[]
  use(middleware: { readonly add: Around<AddedJobs>; readonly handle: Around<HandledJob> }): unknown
}

export interface AddedJobs {
  readonly name: string
  readonly queue: string
  readonly count: number
  /** Of them, those that were not there already; undefined until they are stored. */
  readonly added: number | undefined
  trace: TraceContext | undefined
}

export interface HandledJob {
  readonly id: string
  readonly name: string
  readonly queue: string
  readonly attempt: number
  readonly trace: TraceContext | undefined
}

/** Something that is asked for readings by itself, so that what hangs holds up nothing else. */
export interface Part {
  read(): Promise<readonly Reading[]>
  /** What is read of it while it does not answer. */
  readonly absent: readonly Reading[]
}

const breakerStates = { closed: 0, 'half-open': 1, open: 2 } as const

// A topic has up to 1,000 partitions: beyond these, only the one that is furthest behind.
const mostPartitions = 64

type Value = readonly [figure: Figure, value: number | undefined, ...labels: readonly (string | undefined)[]]

/** Makes readings of values that are there. */
class Readings {
  readonly #labels = new LabelSets()

  of(values: readonly Value[]): Reading[] {
    return values.flatMap(([figure, value, ...labels]) =>
      value === undefined ? [] : [{ figure, value, labels: this.#labels.of(figure, ...labels) }],
    )
  }
}

export function connectionPart(bus: Bus): Part {
  const readings = new Readings()
  return {
    read: async () => {
      const { driver } = await bus.health()
      return readings.of([[figures.connectionUp, driver.status === 'up' ? 1 : 0]])
    },
    absent: readings.of([[figures.connectionUp, 0]]),
  }
}

/** What this process knows of its consumers, whether the broker answers or not. */
export function consumersPart(health: () => readonly WorkerHealth[]): Part {
  const readings = new Readings()
  return {
    read: async () => {
      const byGroup = Map.groupBy(health(), ({ topic, group }) => `${topic}\n${group}`)
      return readings.of([...byGroup.values()].flatMap(consumerValues))
    },
    absent: [],
  }
}

/** Of the consumers of one group on one topic. */
function consumerValues(consumers: readonly WorkerHealth[]): Value[] {
  const { topic, group } = consumers[0] ?? { topic: '', group: '' }
  const sum = (of: (consumer: WorkerHealth) => number) => consumers.reduce((all, each) => all + of(each), 0)
  const oldestMs = Math.max(0, ...consumers.map(({ oldestRunningMs = 0 }) => oldestRunningMs))
  const states = Map.groupBy(consumers, ({ state }) => state)
  const breakers = consumers.flatMap(({ breakers: all = [] }) => all)
  return [
    ...[...states].map(([state, { length }]): Value => [figures.consumers, length, topic, group, state]),
    [figures.failing, sum(({ error }) => (error === undefined ? 0 : 1)), topic, group],
    [figures.inHand, sum(({ inFlight }) => inFlight), topic, group],
    [figures.running, sum(({ running }) => running), topic, group],
    [figures.oldestHandler, oldestMs / 1000, topic, group],
    [figures.heldKeys, sum(({ heldKeys = 0 }) => heldKeys), topic, group],
    [figures.unsettled, sum(({ unsettled = 0 }) => unsettled), topic, group],
    ...breakers.map(
      ({ types, state }): Value => [figures.breaker, breakerStates[state], topic, group, types],
    ),
  ]
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000
}

export function groupPart(group: Group): Part {
  const readings = new Readings()
  const of = [group.topic.name, group.name] as const
  return {
    read: async () => {
      const stats = await group.stats()
      const behind = [...(stats.partitions ?? [])].sort((one, other) => other.lag - one.lag)
      const shown = behind.length > mostPartitions ? behind.slice(0, 1) : behind
      return readings.of([
        [figures.groupUp, 1, ...of],
        [figures.waiting, stats.waiting, ...of],
        [figures.inFlight, stats.inFlight, ...of],
        [figures.delayed, stats.delayed, ...of],
        [figures.dead, stats.dead, ...of],
        [figures.oldestMessage, seconds(stats.oldestWaitingMs), ...of],
        ...shown.map(
          ({ lag, partition }): Value => [
            figures.lag,
            lag,
            ...of,
            shown.length < behind.length ? 'most' : String(partition),
          ],
        ),
      ])
    },
    absent: readings.of([[figures.groupUp, 0, ...of]]),
  }
}

export function outboxPart(name: string, outbox: CountedOutbox): Part {
  const readings = new Readings()
  return {
    read: async () => {
      const { waiting, parked, held, oldestAgeMs } = await outbox.stats()
      return readings.of([
        [figures.outboxUp, 1, name],
        [figures.outboxWaiting, waiting, name],
        [figures.outboxParked, parked, name],
        [figures.outboxHeld, held, name],
        [figures.outboxOldest, oldestAgeMs / 1000, name],
      ])
    },
    absent: readings.of([[figures.outboxUp, 0, name]]),
  }
}

export function jobsPart(name: string, jobs: MeasuredJobs): Part {
  const readings = new Readings()
  return {
    read: async () => {
      const counts = Object.entries(await jobs.counts())
      return readings.of([
        [figures.jobsUp, 1, name],
        ...counts.map(([state, count]): Value => [figures.jobsStored, count, name, state]),
      ])
    },
    absent: readings.of([[figures.jobsUp, 0, name]]),
  }
}

/** Whether nobody will answer any more. */
export function isOver(error: unknown): boolean {
  return MessagingError.is(error) && error.code === 'closed'
}
