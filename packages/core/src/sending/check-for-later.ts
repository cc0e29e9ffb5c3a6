import type { Capabilities } from '../driver.ts'
import { Formats } from '../encoding/formats.ts'
import { currentMessage } from '../handling/handling.ts'
import type { Propagation } from '../handling/propagation.ts'
import { InvalidMessageError, type Issue, toError } from '../lib/errors.ts'
import { type MessageDefinition, requireDefinition } from '../messages/definition.ts'
import { unwritable } from '../messages/json-data.ts'
import type { Message } from '../messages/message.ts'
import { checkData, type Draft, draftMessage, type Sender, startSend } from './prepare-message.ts'
import { noOptions, type SendOptions, under } from './send-options.ts'

/** Options of a send that does not wait for the broker. */
export type LaterOptions = Omit<SendOptions, 'timeout' | 'signal'>

/** What is to be sent. */
export interface Outgoing {
  readonly definition: MessageDefinition
  readonly data: unknown
  readonly options?: LaterOptions | undefined
}

/** A message that was checked, as plain data for the row of a table. */
export interface StoredMessage {
  readonly definition: MessageDefinition
  /** As a consumer will get it. */
  readonly message: Message
  /** JSON text; undefined if there is no data, or it is `bytes`. */
  readonly json: string | undefined
  readonly bytes: Uint8Array | undefined
  readonly delayMs: number
  /** What of the options has no place in `message`. */
  readonly options: Pick<SendOptions, 'priority' | 'attempts'>
}

export interface CheckOptions {
  readonly source: string
  /** Since the epoch. */
  readonly now: number
  readonly propagation?: Propagation | undefined
}

// Which broker it will be is not known here: what it cannot do is refused when the message is sent.
const anything: Capabilities = {
  ordered: true,
  delay: true,
  durableRetry: true,
  release: true,
  yieldsKeys: true,
  deadLetters: true,
  stats: true,
  changesFilters: true,
  keepsDeliveries: true,
  priority: true,
  broadcast: true,
  replay: true,
  seek: true,
  lease: true,
  countsCrashes: true,
  delayGranularityMs: 0,
  redeliveryMs: 0,
  maxMessageBytes: Number.POSITIVE_INFINITY,
  maxDelayMs: Number.POSITIVE_INFINITY,
  maxLeaseMs: Number.POSITIVE_INFINITY,
  maxPrefetch: Number.POSITIVE_INFINITY,
  publishBatchSize: 1,
  publishParallelism: 1,
}

// Of no bus: a relay's bus has its own.
const formats = new Formats(undefined, [])
const driver = { name: 'outbox', capabilities: anything }

/**
 * Checks messages as `send` does, for sending them later. Correlation, cause and trace come from the message being handled.
 *
 * @example
 * const [stored] = await checkForLater([{ definition: OrderPlaced, data: order }], { source: 'checkout', now: Date.now() })
 *
 * @throws {InvalidMessageError} with every problem; of several messages, each path begins with the message's index.
 */
export async function checkForLater(
  outgoing: readonly Outgoing[],
  { source, now, propagation }: CheckOptions,
): Promise<readonly StoredMessage[]> {
  const cause = currentMessage()
  const trace = propagation === undefined ? cause?.metadata : propagation.inject()
  const sender: Sender = { formats, driver, source, timeoutMs: 0 }
  const start = { ...startSend(sender, stoppedAt(now), cause, trace, undefined), now }
  const checked: StoredMessage[] = []
  const issues: Issue[] = []
  for (const [index, { definition, data, options = noOptions }] of outgoing.entries()) {
    requireDefinition(definition, 'outbox')
    try {
      const validated = checkData(definition, data)
      const draft = draftMessage(
        sender,
        definition,
        data,
        // Each wait of a batch costs as much as the check of a message.
        validated instanceof Promise ? await validated : validated,
        options,
        start,
      )
      checked.push(toStored(draft))
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) throw error
      if (outgoing.length === 1) throw error
      issues.push(...under(String(index), error.issues))
    }
  }
  if (issues.length > 0) throw new InvalidMessageError(`batch of ${outgoing.length} messages`, issues)
  return checked
}

/** A clock that is only read. */
function stoppedAt(now: number) {
  return { now: () => now, monotonic: () => 0, after: () => () => {} }
}

/** Stored data is JSON or bytes, whatever the codec could carry. */
function toStored({ definition, message, delayMs, data, options, format }: Draft): StoredMessage {
  const issues = options === noOptions ? [] : optionsOfWaiting(options)
  const bytes = data instanceof Uint8Array ? data : undefined
  let json: string | undefined
  try {
    const isChecked = bytes !== undefined || data === undefined || format.codec?.carriesAnyData !== true
    if (!isChecked) issues.push(...under('data', unwritable(data)))
    if (bytes === undefined && issues.length === 0) json = JSON.stringify(data)
  } catch (error) {
    issues.push({ path: 'data', message: `cannot be written as JSON: ${toError(error).message}` })
  }
  if (issues.length > 0) throw new InvalidMessageError(`message ${message.type}`, issues)
  return { definition, message, json, bytes, delayMs, options: pick(options) }
}

function optionsOfWaiting(options: SendOptions): Issue[] {
  return (['timeout', 'signal'] as const)
    .filter((name) => options[name] !== undefined)
    .map((name) => ({
      path: `options.${name}`,
      message: 'is for a send that waits; nothing waits here',
    }))
}

function pick({ priority, attempts }: SendOptions): StoredMessage['options'] {
  return { ...(priority !== undefined && { priority }), ...(attempts !== undefined && { attempts }) }
}
