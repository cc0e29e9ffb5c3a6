import type { Duration } from '@waybill/core/driver'
import { durationOption } from '@waybill/core/driver-kit'
import { z } from 'zod'

export const longestLeaseMs = 600_000

export interface RelayOptions {
  /** How many messages are read, sent and removed together; 1 to 10,000. Default: 500. */
  readonly batchSize?: number
  /** How many batches are under way at once, each of other keys; 1 to 16. Default: 4. */
  readonly lanes?: number
  /**
   * How long a relay that says nothing keeps its share of the work from others, 1 s to 10 min. Default: `30s`.
   */
  readonly lease?: Duration
  /** How often it looks without having been woken, at least 10 ms. Default: `5s`, or `1s` where the database cannot wake it. */
  readonly pollInterval?: Duration
  /** How long one message may take, as of `send`. Default: `30s`. */
  readonly sendTimeout?: Duration
  /** The longest wait before a message is tried again that could not be sent, at least 10 ms. Waits begin with 200 ms. Default: `30s`. */
  readonly maxBackoff?: Duration
  /**
   * How often a message is tried when what fails is not the broker but code of yours: middleware, a codec or a stage that throws
   * something other than a `MessagingError`. Then it is set aside. 1 to 10,000. Default: 30, which takes some 12 minutes.
   */
  readonly attempts?: number
  /** How often the event `depth` tells how much waits, if somebody listens; at least 10 ms. Default: `30s`. */
  readonly depthEvery?: Duration
}

export const relayOptionsSchema = z.strictObject({
  batchSize: z.int().min(1).max(10_000).default(500),
  lanes: z.int().min(1).max(16).default(4),
  lease: durationOption({ min: 1000, max: longestLeaseMs }).default(30_000),
  pollInterval: durationOption({ min: 10 }).optional(),
  sendTimeout: durationOption({ min: 100 }).default(30_000),
  maxBackoff: durationOption({ min: 10 }).default(30_000),
  attempts: z.int().min(1).max(10_000).default(30),
  depthEvery: durationOption({ min: 10 }).default(30_000),
})

export type RelaySettings = z.output<typeof relayOptionsSchema>
