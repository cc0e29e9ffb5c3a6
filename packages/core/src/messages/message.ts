/** What travels beside the data. You can add names of your own, with text as their values. */
export interface Metadata {
  /** Who sent it (CloudEvents `source`, a URI reference). */
  readonly source: string
  /** The conversation the message belongs to; inherited from the message being handled. */
  readonly correlationId?: string
  /** The id of the message that caused this one; set when it is sent from a handler. */
  readonly causationId?: string
  /** W3C Trace Context. */
  readonly traceparent?: string
  readonly tracestate?: string
  readonly [name: string]: string | undefined
}

/** `Type` is the literal type where it is known, so that a union of messages is told apart by it. */
export interface Message<Data = unknown, Type extends string = string> {
  /** UUIDv7 unless given at `send`. Resending with the same id is safe for idempotent consumers. */
  readonly id: string
  readonly type: Type
  /** Of the data as the handler sees it: upcast to the version of the definition. */
  readonly version: number
  /** When it was sent. */
  readonly timestamp: Date
  readonly data: Data
  /** The ordering key. */
  readonly key?: string
  /** No longer delivered after this time. */
  readonly expiresAt?: Date
  readonly metadata: Metadata
  /**
   * What the sender did not say and Waybill filled in: the id from the transport or at random, the source from the topic's
   * name, the timestamp from the transport or the receipt. Absent when the message said it all.
   */
  readonly filledIn?: readonly ('id' | 'source' | 'timestamp')[]
}

/** For code that fills the fields one by one: spreading what may be absent costs more than everything else. */
export type Writable<Fields> = { -readonly [Name in keyof Fields]: Fields[Name] }
