import { type Received, remainingDelay } from '../wire/messages.ts'

export interface SortedByTime {
  readonly due: readonly Received[]
  readonly early: readonly Received[]
  /** What came together with an early message of the same message group, after it: on FIFO queues it must not overtake. */
  readonly behind: readonly Received[]
}

/** Which messages can be handed over, and which have to wait for their time or for that of one before them. */
export function sortByTime(received: readonly Received[], now: number): SortedByTime {
  const due: Received[] = []
  const early: Received[] = []
  const behind: Received[] = []
  const held = new Set<string>()
  for (const each of received) {
    if (each.groupId !== undefined && held.has(each.groupId)) behind.push(each)
    else if (remainingDelay(each, now) <= 0) due.push(each)
    else {
      early.push(each)
      if (each.groupId !== undefined) held.add(each.groupId)
    }
  }
  return { due, early, behind }
}
