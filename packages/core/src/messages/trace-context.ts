/** The W3C Trace Context of a message. */
export interface TraceContext {
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
}

// W3C Trace Context 1, "Version format": version ff is invalid, and only versions after 00 may have more fields.
const traceparentShape = /^(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/

/** Whether the text has the shape of a `traceparent`. */
export function isTraceparent(text: string): boolean {
  const match = traceparentShape.exec(text)
  return match !== null && (match[1] !== '00' || match[2] === undefined)
}

// W3C Trace Context 1, "tracestate Header Field Values": a key, perhaps of a tenant and a system, and printable ASCII
// without comma, equals sign or a blank at the end.
const member =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

const mostMembers = 32

/** Whether the text has the shape of a `tracestate`: at most 32 members `key=value`, each key once. */
export function isTracestate(text: string): boolean {
  const members = text
    .split(',')
    .map((each) => each.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((each) => each !== '')
  const keys = new Set(members.map((each) => each.slice(0, each.indexOf('='))))
  const count = members.length
  return (
    count > 0 && count <= mostMembers && keys.size === count && members.every((each) => member.test(each))
  )
}
