import type { Message } from '@waybill/core'
import type { Recorder } from '@waybill/figures'
import type { Attempt } from './attempt.ts'
import type { Spans } from './spans.ts'

/** What follows the messages of one bus, and how. */
export interface TelemetrySettings {
  readonly system: string
  readonly joined: boolean
  /** Undefined: no spans. */
  readonly spans: Spans | undefined
  /** Undefined: no metrics. */
  readonly recorder: Recorder | undefined
  /** Of the messages in hand. */
  readonly attempts: WeakMap<Message, Attempt>
}
