import { numberOf } from '../fixtures/numbered.ts'
import type { RecordedDelivery } from './recorder.ts'

export interface KeyOrder {
  /** What breaks the order, in words. */
  readonly violations: readonly string[]
  /** Deliveries of messages that were already handled. */
  readonly redeliveries: number
}

type Ordered = Pick<RecordedDelivery, 'startedAt' | 'endedAt' | 'outcome'> & {
  readonly message: { readonly key?: string; readonly data: unknown }
}

/**
 * Holds deliveries, in the order in which handlers were called, against the order of each key: a message may be handled
 * once all before it were, and not before the delivery before it has ended. One that failed may be delivered again;
 * one that was handled too, which is counted.
 */
export function checkKeyOrder(
  deliveries: readonly Ordered[],
  sent: readonly { readonly key?: string; readonly data: unknown }[],
): KeyOrder {
  const violations: string[] = []
  let redeliveries = 0
  for (const [key, numbers] of byKey(sent, numberOf)) {
    let handled = 0
    let before: Ordered | undefined
    const ofKey = deliveries.filter(({ message }) => message.key === key)
    for (const delivery of ofKey) {
      const index = numbers.indexOf(numberOf(delivery.message))
      if (before !== undefined && (before.endedAt ?? Number.POSITIVE_INFINITY) > delivery.startedAt) {
        violations.push(`${key}: number ${numbers[index]} began while the one before it was running`)
      }
      if (index > handled)
        violations.push(`${key}: number ${numbers[index]} came before ${numbers[handled]} was handled`)
      if (index < handled) redeliveries += 1
      else if (delivery.outcome === 'resolved') handled = Math.max(handled, index + 1)
      before = delivery
    }
    if (handled < numbers.length) violations.push(`${key}: ${numbers.length - handled} were never handled`)
  }
  return { violations, redeliveries }
}

function byKey<Item extends { readonly key?: string }, Value>(
  items: readonly Item[],
  pick: (item: Item) => Value,
): Map<string | undefined, Value[]> {
  const groups = new Map<string | undefined, Value[]>()
  for (const item of items) {
    const group = groups.get(item.key)
    if (group === undefined) groups.set(item.key, [pick(item)])
    else group.push(pick(item))
  }
  return groups
}
