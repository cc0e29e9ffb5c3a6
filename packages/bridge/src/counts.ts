import type { GroupStats, MessagingError, WorkerHealth } from '@waybill/core'

/** What the bridge did with the messages of a topic since it was opened. */
export interface BridgeCounts {
  /** The target has them. */
  moved: number
  /** In the dead letters of the bridge's group, because the target refused them for good. */
  refused: number
  /** Left out, because they came from the target. */
  looped: number
  /** Dropped, because they had expired. */
  expired: number
}

/** One topic of a bridge. */
export interface BridgeStats extends Readonly<BridgeCounts> {
  readonly topic: string
  readonly group: string
  readonly state: WorkerHealth['state']
  /** On their way in this process. */
  readonly inFlight: number
  /** What waits at the source for the bridge; undefined where the broker does not tell. */
  readonly waiting: number | undefined
  /** In the hands of all bridges of the group. */
  readonly unsettled: number | undefined
  /** Not due yet; they are moved when they are. */
  readonly delayed: number | undefined
  /** Why nothing is moved at the moment. */
  readonly error?: MessagingError
}

export function noCounts(): BridgeCounts {
  return { moved: 0, refused: 0, looped: 0, expired: 0 }
}

export function statsOf(
  counts: BridgeCounts,
  { topic, group, state, inFlight, error }: WorkerHealth,
  { waiting, inFlight: unsettled, delayed }: Pick<GroupStats, 'waiting' | 'inFlight' | 'delayed'>,
  trouble: MessagingError | undefined,
): BridgeStats {
  const reason = trouble ?? error
  return {
    ...counts,
    topic,
    group,
    state,
    inFlight,
    waiting,
    unsettled,
    delayed,
    ...(reason !== undefined && { error: reason }),
  }
}
