import { toError } from '@waybill/core/driver'

/**
 * What went wrong, in terms that do not name the client. A driver on another client library would replace this file and
 * nothing outside of `client/`.
 */
export type Fault =
  /** The server answered with an error, which begins with a code (Redis documentation, "Redis serialization protocol"). */
  | { readonly kind: 'refused'; readonly reply: string }
  | {
      readonly kind: /** Nothing of the command was written to the socket. */
        | 'not-sent'
        /** The connection is gone, or was never there; what was written may have been carried out. */
        | 'disconnected'
    }

// ioredis's message for a command that it never wrote to the socket.
const neverWritten = "Stream isn't writeable"

const closed = 'Connection is closed.'

export function faultOf({ name, message }: Error): Fault {
  if (name === 'ReplyError') return { kind: 'refused', reply: message }
  return { kind: message.startsWith(neverWritten) ? 'not-sent' : 'disconnected' }
}

/** A cluster client that failed to connect says that it did; what happened at the last node it keeps apart. */
export function causeOf(thrown: unknown): Error {
  const error = toError(thrown)
  const cause: unknown = Reflect.get(error, 'lastNodeError')
  return cause instanceof Error ? cause : error
}

/** What ioredis says of a connection that is gone, for losses that it only tells by an event. */
export function connectionClosed(): Error {
  return new Error(closed)
}

/** Whether the error says nothing but that the connection is gone. */
export function saysOnlyClosed({ message }: Error): boolean {
  return message === closed
}

/** Whether a TLS handshake failed, by the words of OpenSSL and Node. */
export function isTlsFault({ message }: Error): boolean {
  return /certificate|self.signed|ssl routines|wrong version number|EPROTO/i.test(message)
}
