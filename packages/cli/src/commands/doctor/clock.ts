import type { Bus } from '@waybill/core'
import { formatDuration } from '../../output/format.ts'
import type { Finding } from './finding.ts'

// Delays and expiries are off by as much as the clocks are.
const worthTellingMs = 5000

/** How far this machine's clock is from the broker's, where the broker tells its time. */
export async function clockFinding(bus: Bus): Promise<Finding> {
  const check = 'clock'
  const askedAt = Date.now()
  const { time } = (await bus.health()).driver
  const answeredAt = Date.now()
  if (time === undefined) return { check, status: 'skipped', detail: 'this broker does not tell its time' }
  // The broker read its clock somewhere in between.
  const skewMs = time < askedAt ? time - askedAt : Math.max(0, time - answeredAt)
  const direction = skewMs < 0 ? 'behind' : 'ahead of'
  const detail =
    skewMs === 0
      ? "the same as the broker's"
      : `the broker's is ${formatDuration(Math.abs(skewMs))} ${direction} ours`
  return { check, status: Math.abs(skewMs) < worthTellingMs ? 'ok' : 'warning', detail }
}
