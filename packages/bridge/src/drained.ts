import { MessagingError } from '@waybill/core'
import { type Clock, sleep } from '@waybill/core/driver'
import type { BridgeStats } from './counts.ts'

export interface DrainSettings {
  readonly clock: Clock
  readonly quietMs: number
  readonly signal: AbortSignal
  /** Undefined: the source cannot be asked at the moment. */
  readonly stats: () => Promise<readonly BridgeStats[] | undefined>
}

// How often the brokers are asked for their figures.
const intervalMs = 250

/**
 * Resolves when nothing has waited or arrived for the quiet time. Several looks, because some brokers' figures are
 * approximate, and what a process that was killed had in hand comes back only when its lease has run out.
 *
 * @throws {MessagingError} `aborted` when the signal fires.
 */
export async function untilDrained({ clock, quietMs, signal, stats }: DrainSettings): Promise<void> {
  let quietSince: number | undefined
  let passed: number | undefined
  while (!signal.aborted) {
    const now = clock.monotonic()
    const all = await stats()
    const through = all?.reduce(
      (sum, { moved, refused, looped, expired }) => sum + moved + refused + looped + expired,
      0,
    )
    const isQuiet = all !== undefined && through === passed && all.every(isEmpty)
    passed = through
    if (!isQuiet) quietSince = undefined
    else if (quietSince === undefined) quietSince = now
    else if (now - quietSince >= quietMs) return
    await sleep(clock, intervalMs, signal)
  }
  throw new MessagingError('aborted', 'The bridge was stopped before the source was drained')
}

function isEmpty({ state, inFlight, waiting, unsettled }: BridgeStats): boolean {
  return state === 'running' && inFlight === 0 && (waiting ?? 0) === 0 && (unsettled ?? 0) === 0
}
