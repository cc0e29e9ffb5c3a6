/** A message as the broker keeps it. */
export interface StoredMessage {
  readonly body: Uint8Array
  readonly contentType: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly key: string | undefined
  /** Of what was put there by other means than a producer. */
  readonly transportId?: string
  /** When it reached the topic, in milliseconds since the epoch. */
  readonly time: number
  /** Not to be handed out before, by the monotonic clock; not to groups that come later either. Default: at once. */
  readonly dueAt?: number
}
