/** The message whose body a stage is given on its way out. */
export interface OutgoingBody {
  readonly topic: string
  /** The topic's declared groups that take messages of this type. */
  readonly groups: readonly string[]
  readonly type: string
  readonly id: string
  /** Of the body as the codec made it. */
  readonly contentType: string
}

/** The message whose body a stage is given on its way in. */
export interface IncomingBody {
  readonly topic: string
  /** Who reads it. */
  readonly group: string
  /**
   * The CloudEvents attributes among the headers (`id`, `type`, …), under their names in lower case; empty where the
   * transport does not mirror them.
   */
  readonly attributes: Readonly<Record<string, string>>
  /** Of the body as the codec made it, as the headers tell. Undefined: they do not, which senders of Waybill never leave out. */
  readonly contentType: string | undefined
}

export interface StagedBody {
  readonly body: Uint8Array
  /** Text that `undo` needs, kept in the headers: an algorithm, the id of a key, where the body is. Default: empty. */
  readonly note?: string
}

/**
 * A transformation of whole bodies between codec and transport. Stages are applied in the order given and undone in the
 * reverse order; what was applied is recorded in the header `waybill-stages`, so bodies without it are read as they are.
 *
 * @example
 * const reversed: Stage = {
 *   name: 'reversed',
 *   apply: (body) => ({ body: body.toReversed() }),
 *   undo: (body) => body.toReversed(),
 * }
 */
export interface Stage {
  /** Recorded in the headers: 1 to 32 lower-case letters, digits and `-`. */
  readonly name: string
  /** Undefined leaves the body as it is, and nothing is recorded. What it throws fails the send. */
  apply(body: Uint8Array, message: OutgoingBody): StagedBody | undefined | Promise<StagedBody | undefined>
  /**
   * The body that `apply` was given. Undefined: not by this one (it has no such key or store), and another stage of the same name
   * is asked. Throws when the body cannot be had: the message goes to the dead letters as `undecodable`. A retryable
   * `MessagingError` says that it may be had later: the message stays in hand and is tried again with backoff.
   */
  undo(
    body: Uint8Array,
    note: string,
    message: IncomingBody,
  ): Uint8Array | undefined | Promise<Uint8Array | undefined>
  /** Called once a group's ack is durable, for stages that keep something elsewhere. A rejection is reported as a failure. */
  done?(note: string, message: IncomingBody): Promise<void>
}
