import type { GateRoom } from '../handling/gate.ts'
import { isLimited } from '../handling/gate-of.ts'
import type { Registration } from '../handling/handlers.ts'

export interface GateRoomsSettings {
  readonly registrations: readonly Registration[]
  /** The broker can keep what waits: the topic has no order, and retries are durable. */
  readonly canPostpone: boolean
  readonly prefetch: number
  readonly maxLeaseMs: number
}

// What waits longer than this leaves its room to others, where there are others.
const crowdedMs = 5000
const patientMs = 300_000

/** How many deliveries may wait at each gate of a consumer's topic, and for how long, so that the rest finds room. */
export function gateRooms({ registrations, canPostpone, prefetch, maxLeaseMs }: GateRoomsSettings): {
  readonly own: GateRoom
  readonly lent: GateRoom
} {
  // What is in hand for longer than maxLease is taken from us, and on some brokers counts as a crash.
  const longestMs = maxLeaseMs / 2
  const patient = { most: Number.POSITIVE_INFINITY, longestMs: Math.min(patientMs, longestMs) }
  if (!canPostpone) return { own: { ...patient, longestMs }, lent: { ...patient, longestMs } }
  const gates = registrations.filter(({ policies }) => isLimited(policies)).length
  const crowded = {
    most: Math.max(1, Math.floor(prefetch / (gates + 1))),
    longestMs: Math.min(crowdedMs, longestMs),
  }
  const hasOthers = registrations.length > 1 || registrations.some(isByKey)
  return { own: hasOthers ? crowded : patient, lent: crowded }
}

/** Whether messages of one key can wait while those of others go on. */
function isByKey({ policies: { concurrency, rateLimit } }: Registration): boolean {
  return concurrency?.perKey !== undefined || rateLimit?.by !== undefined
}
