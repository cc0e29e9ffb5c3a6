import { MessagingError } from '@waybill/core/driver'

/** How many entries a script reads at most before it looks how large they are. */
export const readStep = 16

export function deletedWarning(count: number, group: string): string {
  return `${count} entries were deleted while group ${group} had them in hand: another program trims the stream or deletes from it`
}

/** A group that is gone does not come back by itself: core applies the topology and subscribes again. */
export function endsSubscription(error: unknown): never {
  if (!MessagingError.is(error) || error.code !== 'topology-missing') throw error
  throw new MessagingError(error.code, error.message, { cause: error })
}
