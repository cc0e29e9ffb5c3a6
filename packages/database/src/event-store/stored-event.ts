import type { MessageDefinition } from '@waybill/core'

/** An event to append. Made by `eventOf`. */
export interface NewEvent {
  readonly definition: MessageDefinition
  readonly data: unknown
  /** Of the message that is published, too. */
  readonly id: string | undefined
}

/** An event as it was appended. `Type` is the literal type where it is known. */
export interface StoredEvent<Data = unknown, Type extends string = string> {
  readonly id: string
  readonly type: Type
  /** Of the data as it is here: upcast to the version of the definition that it was read by. */
  readonly version: number
  readonly data: Data
  readonly stream: string
  /** 1 for the first event of its stream, one more for each. */
  readonly streamVersion: number
  /** Its place among all events; opaque, and comparable by nobody but the store. */
  readonly position: string
  readonly recordedAt: Date
  readonly metadata: Readonly<Record<string, string>>
}

/** The event of a definition, as it is read; of a union of definitions, the union of their events. */
export type EventOf<Definition extends MessageDefinition> =
  Definition extends MessageDefinition<unknown, infer Output, string, infer Type>
    ? StoredEvent<Output, Type>
    : never

/**
 * An event to append: a message definition and its data.
 *
 * ```ts
 * await events.append(transaction, `order-${orderId}`, [eventOf(OrderPlaced, { orderId, total })], { expected: 0 })
 * ```
 */
export function eventOf<Input>(
  definition: MessageDefinition<Input>,
  data: NoInfer<Input>,
  options: { readonly id?: string } = {},
): NewEvent {
  return { definition, data, id: options.id }
}
