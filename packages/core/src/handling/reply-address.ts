/** Where the reply to a request goes. */
export interface ReplyAddress {
  readonly inbox: string
  /** The request's id as its requester knows it; undefined when the address names the inbox alone. */
  readonly id: string | undefined
}

/** The value of the header. The id is in it because send middleware may give the message another one. */
export function writeReplyAddress(inbox: string, id: string): string {
  return `${inbox}/${encodeURIComponent(id)}`
}

// Inboxes are named by ids. What somebody else made up must not become part of a message type.
const shape = /^([A-Za-z0-9-]{1,64})(?:\/([^/]+))?$/

/** Undefined when it is no address. */
export function readReplyAddress(header: string | undefined): ReplyAddress | undefined {
  const [, inbox, id] = shape.exec(header ?? '') ?? []
  if (inbox === undefined) return undefined
  try {
    return { inbox, id: id === undefined ? undefined : decodeURIComponent(id) }
  } catch {
    return undefined
  }
}
