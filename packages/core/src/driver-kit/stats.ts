import type { GroupStats } from '../driver.ts'

type Depths = Pick<GroupStats, 'waiting' | 'inFlight' | 'delayed' | 'dead'>

/**
 * The sum of the figures; undefined if one of them is unknown.
 *
 * @example
 * sumOf([3, 4]) // 7
 * sumOf([3, undefined]) // undefined
 */
export function sumOf(figures: readonly (number | undefined)[]): number | undefined {
  return figures.reduce<number | undefined>(
    (sum, figure) => (sum === undefined || figure === undefined ? undefined : sum + figure),
    0,
  )
}

/**
 * The figures of a group that is kept in several places, such as one queue per partition.
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
