import type { HandledInVain } from '../deliveries/handled-in-vain.ts'
import type { BodyReader } from '../encoding/body-reader.ts'
import type { Emit } from '../events/events.ts'
import type { Clock } from '../lib/clock.ts'
import type { Replies } from './answers.ts'
import type { IdempotencySettings } from './effect-guard.ts'
import type { HandlerMiddleware } from './middleware.ts'
import type { Propagation } from './propagation.ts'

export interface ProcessingSettings {
  readonly topic: string
  readonly group: string
  readonly clock: Clock
  readonly emit: Emit
  readonly maxDeliveries: number
  readonly idempotency: IdempotencySettings | undefined
  readonly middleware: readonly HandlerMiddleware[]
  /** It serves a pull loop. */
  readonly isPull: boolean
  readonly handledInVain: HandledInVain
  readonly reader: BodyReader
  readonly propagation: Propagation | undefined
  readonly replies: Replies
  /** Deliveries of one key are sequential, so retries wait in this process while they hold their key. */
  readonly ordered: boolean
  /** The longest retry the driver carries out; a longer one waits in this process. 0 when it carries out none. */
  readonly maxRetryMs: number
  /** There is no queue of the group's own to come back from: retries wait in this process, and there are no dead letters. */
  readonly broadcast: boolean
}
