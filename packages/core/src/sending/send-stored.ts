import type { BodyFormat } from '../messages/body-format.ts'
import type { MessageDefinition } from '../messages/definition.ts'
import type { Message } from '../messages/message.ts'
import type { Topic } from '../messages/topic.ts'
import type { Producer } from './producer.ts'
import { type SendOptions, withStoredTimes } from './send-options.ts'

/** A stored message when it is sent: its data read, and the delay that is left. */
export interface StoredSend {
  readonly definition: MessageDefinition
  readonly data: unknown
  readonly timestamp: Date
  readonly expiresAt: Date | undefined
  /** Called once nothing but the broker can refuse it: the next message of its key can be sent without overtaking it. */
  readonly onHandedOver?: () => void
  /** With `id`; without `expiresIn`. */
  readonly options: SendOptions & { readonly id: string }
}

/**
 * A definition whose data is taken as it is: it was checked when it was stored, by the schema of then.
 *
 * @example
 * const definition = definitionOfStored(OrderPlaced.topic, 'order.placed', 1, OrderPlaced.format)
 */
export function definitionOfStored(
  topic: Topic,
  type: string,
  version: number,
  format: BodyFormat | undefined,
): MessageDefinition {
  const validate = (value: unknown) => ({ value })
  const schema = { '~standard': { version: 1, vendor: 'waybill', validate } } as const
  return { topic, type, version, upcast: {}, schema, format }
}

/**
 * Sends a message as of the time when it was stored. Resolves and rejects as `producer.send` does.
 *
 * @example
 * await sendStored(producer, { definition, data, timestamp, expiresAt, options: { id, key } })
 *
 * @throws as `producer.send`.
 */
export function sendStored(
  producer: Producer,
  { definition, data, timestamp, expiresAt, onHandedOver, options }: StoredSend,
): Promise<Message> {
  return producer.send(definition, data, withStoredTimes(options, { timestamp, expiresAt, onHandedOver }))
}
