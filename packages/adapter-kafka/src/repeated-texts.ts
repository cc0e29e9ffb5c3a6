interface Known {
  readonly bytes: Uint8Array
  readonly text: string
}

// More kinds of header than a group's messages bear; texts that fall on one place only take turns.
const places = 256
// Longer ones seldom repeat, nor do ids (a UUID has 36).
const longest = 35

/** The texts that most messages bear, such as header names, known by their bytes: cheaper than to decode them each time. */
export class RepeatedTexts {
  readonly #known = new Array<Known | undefined>(places)

  /** The bytes as UTF-8. */
  read(buffer: Buffer, start = 0, end = buffer.length): string {
    const length = end - start
    if (length > longest) return buffer.toString('utf8', start, end)
    let hash = length
    for (let at = start; at < end; at += 1) hash = (hash * 31 + (buffer[at] ?? 0)) | 0
    const place = (hash >>> 0) % places
    const known = this.#known[place]
    if (known !== undefined && isSame(known.bytes, buffer, start, length)) return known.text
    const text = buffer.toString('utf8', start, end)
    // A copy, which keeps nothing else of the buffer.
    this.#known[place] = { bytes: Uint8Array.prototype.slice.call(buffer, start, end), text }
    return text
  }
}

function isSame(bytes: Uint8Array, buffer: Buffer, start: number, length: number): boolean {
  if (bytes.length !== length) return false
  for (let at = 0; at < length; at += 1) if (bytes[at] !== buffer[start + at]) return false
  return true
}
