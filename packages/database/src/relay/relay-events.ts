import type { MessagingError } from '@waybill/core/driver'
import type { FailureEvents } from '../emitter.ts'
import type { OutboxStats } from '../outbox/stats.ts'

/** The message that an event is about. */
export interface RelayedMessage {
  /** Of its row. */
  readonly position: string
  readonly topic: string
  readonly type: string
  readonly id: string
  readonly key: string | undefined
}

/** What `relay.on` can listen to. */
export interface RelayEvents extends FailureEvents {
  /** A batch was sent and removed from the outbox. */
  readonly relayed: { readonly messages: number; readonly durationMs: number }
  /** The broker refused a message for good. It was set aside, and later ones of its key go on. */
  readonly parked: RelayedMessage & { readonly error: MessagingError }
  /** A message could not be sent for now. It, and later ones of its key, wait that long. */
  readonly held: RelayedMessage & { readonly error: MessagingError; readonly delayMs: number }
  /** A message had expired before it was sent; it was removed. */
  readonly expired: RelayedMessage
  /** This relay's share of the work has changed: so many of 64. */
  readonly share: { readonly slots: number }
  /** How much waits, every `depthEvery`. */
  readonly depth: OutboxStats
}

export const relayEventNames = ['relayed', 'parked', 'held', 'expired', 'share', 'depth', 'failure'] as const
