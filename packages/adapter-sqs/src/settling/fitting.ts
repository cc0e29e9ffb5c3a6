import { headerNames } from '@waybill/core/driver'
import { encode, type Outgoing } from '../wire/messages.ts'

/** Notes in a dead letter that its body was cut, and to what size. */
export const truncatedHeader = 'waybill-truncated'

/** Long texts of the failure record keep so many characters where room is short. */
const shortText = 200

function fits(outgoing: Outgoing, mostBytes: number): boolean {
  return encode(outgoing).bytes <= mostBytes
}

/**
 * A copy carries more than its source, and foreign senders may use all that SQS takes. Where the copy is too large, the long
 * texts of the failure record are cut.
 */
export function shortened(outgoing: Outgoing, mostBytes: number): Outgoing {
  if (fits(outgoing, mostBytes)) return outgoing
  const headers = { ...outgoing.headers }
  delete headers[headerNames.errorStack]
  for (const name of [headerNames.errorMessage, headerNames.reason]) {
    const text = headers[name]
    if (text !== undefined) headers[name] = text.slice(0, shortText).toWellFormed()
  }
  return { ...outgoing, headers }
}

/** For dead letters also the body, as a last resort, with the fact recorded: a letter that does not fit would circle for ever. */
export function truncated(outgoing: Outgoing, mostBytes: number): Outgoing {
  const short = shortened(outgoing, mostBytes)
  if (fits(short, mostBytes)) return short
  const size = short.body.byteLength
  let kept = size
  for (;;) {
    const note = `The body was cut from ${size} to ${kept} bytes: with its failure record it is larger than SQS takes`
    const headers = {
      ...short.headers,
      [truncatedHeader]: note,
      [headerNames.errorMessage]: `${short.headers[headerNames.errorMessage] ?? ''} (${note})`.trim(),
    }
    const letter = { ...short, headers, body: cut(short.body, kept) }
    const excess = encode(letter).bytes - mostBytes
    if (excess <= 0 || kept === 0) return letter
    kept = Math.max(0, kept - excess)
  }
}

/** Not within a character, so that the text stays valid. */
function cut(body: Uint8Array, length: number): Uint8Array {
  let end = length
  while (end > 0 && end < body.byteLength && ((body[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return body.subarray(0, end)
}
