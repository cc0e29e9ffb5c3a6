/**
 * What went wrong, in terms that do not name the client. A driver on another client library would replace this file and
 * nothing outside of `client/`.
 */
export type Fault =
  /** The broker closed a channel or the connection, or refused to open one (AMQP 0-9-1 specification, 1.1). */
  | { readonly kind: 'closed-by-broker'; readonly replyCode: number; readonly inHandshake: boolean }
  | {
      readonly kind: /** The virtual host does not exist or is not ours; the client keeps the broker's words to itself. */
        | 'virtual-host-refused'
        /** A certificate or TLS version that was not accepted; trying again will not help. */
        | 'tls-refused'
        /** The other side hung up during the handshake: TLS on one side only, or a broker that is starting. */
        | 'hung-up'
        /** The other side does not speak AMQP, or speaks it over TLS. */
        | 'not-amqp'
        /** The other side answered in HTTP. */
        | 'http'
        /** The other side answered in a protocol that nobody confuses with AMQP. */
        | 'other-protocol'
        /** The broker refused one message. */
        | 'nacked'
        /** Nothing was written: the channel is closed. */
        | 'channel-closed'
        /** Nothing was written: the headers do not fit. */
        | 'headers-too-long'
        | 'other'
    }

/**
 * amqplib's errors have no codes, so these are its messages, and Node's for a peer that hangs up during a TLS
 * handshake.
 */
const texts: readonly (readonly [RegExp, Exclude<Fault['kind'], 'closed-by-broker'>])[] = [
  [/^Expected ConnectionOpenOk/, 'virtual-host-refused'],
  // A TLS alert is shorter than a frame.
  [/^Socket closed abruptly during opening|before secure TLS connection was established$/, 'hung-up'],
  // An answer that begins with "HTTP/1." looks like a frame of this size.
  [new RegExp(`^Frame size ${Buffer.from('HTTP/1.').readUInt32BE(3)} `), 'http'],
  [/^Frame size \d+ exceeds/, 'other-protocol'],
  [/^Invalid frame|^Unexpected frame|^Expected ConnectionStart/, 'not-amqp'],
  [/^message nacked$/, 'nacked'],
]

/** OpenSSL's and Node's codes. */
const tlsCode = /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/

export function faultOf(thrown: unknown): Fault {
  if (!(thrown instanceof Error)) return { kind: 'other' }
  const { message, name } = thrown
  const inHandshake = /^Handshake terminated by server: (\d{3})/.exec(message)?.[1]
  if (inHandshake !== undefined) {
    return { kind: 'closed-by-broker', replyCode: Number(inHandshake), inHandshake: true }
  }
  const replyCode = replyCodeOf(thrown)
  if (replyCode !== undefined) return { kind: 'closed-by-broker', replyCode, inHandshake: false }
  if ('code' in thrown && typeof thrown.code === 'string' && tlsCode.test(thrown.code)) {
    return { kind: 'tls-refused' }
  }
  const [, kind] = texts.find(([text]) => text.test(message)) ?? []
  if (kind !== undefined) return { kind }
  if (name === 'IllegalOperationError') return { kind: 'channel-closed' }
  return { kind: thrown instanceof RangeError ? 'headers-too-long' : 'other' }
}

/** The reply code with which the broker closed a channel or the connection. */
export function replyCodeOf(thrown: unknown): number | undefined {
  const code: unknown =
    typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'number' ? code : undefined
}

/** Whether the error only says that a channel is gone, perhaps with its connection, which knows the reason. */
export function isChannelGone(thrown: unknown): boolean {
  return thrown instanceof Error && /^Channel (?:ended|closed)/.test(thrown.message)
}
