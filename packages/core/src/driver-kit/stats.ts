import type { GroupStats } from '../driver.ts'

type Depths = Pick<GroupStats, 'waiting' | 'inFlight' | 'delayed' | 'dead'>

/** The sum of some figures; undefined as soon as one of them is not known. */
export function sumOf(figures: readonly (number | undefined)[]): number | undefined {
  return figures.reduce<number | undefined>(
    (sum, figure) => (sum === undefined || figure === undefined ? undefined : sum + figure),
    0,
  )
}

/**
 * The figures of a group that lies in several places, such as a queue for each partition.
 *
 * @example
 * const stats = { ...addStats(await Promise.all(queues.map(depthsOf))), partitions }
 */
export function addStats(parts: readonly Depths[]): Depths {
  return {
    waiting: sumOf(parts.map(({ waiting }) => waiting)),
    inFlight: sumOf(parts.map(({ inFlight }) => inFlight)),
    delayed: sumOf(parts.map(({ delayed }) => delayed)),
    dead: sumOf(parts.map(({ dead }) => dead)),
  }
}
