interface Known {
  readonly bytes: Buffer
  readonly text: string
}

// More than the kinds of header that a group's messages have. Texts that share a place replace each other.
const places = 256
// Longer ones seldom repeat, nor do ids (a UUID has 36).
const longest = 35

/**
 * Remembers short texts by their bytes. Most messages have the same header names and types, and looking them up is cheaper
 * than decoding them each time.
 *
 * @example
 * const names = new RepeatedTexts()
 * const name = names.text(frame, start, end)
 */
export class RepeatedTexts {
  readonly #known = new Array<Known | undefined>(places)

  /** A part of the buffer as UTF-8. */
  text(buffer: Buffer, start = 0, end = buffer.length): string {
    if (end - start > longest) return buffer.toString('utf8', start, end)
    return this.#find(buffer, start, end).text
  }

  /** A part of the buffer as bytes, which others may have been given too. */
  bytes(buffer: Buffer, start: number, end: number): Buffer {
    if (end - start > longest) return buffer.subarray(start, end)
    return this.#find(buffer, start, end).bytes
  }

  #find(buffer: Buffer, start: number, end: number): Known {
    let hash = end - start
    for (let at = start; at < end; at += 1) hash = (hash * 31 + (buffer[at] ?? 0)) | 0
    const place = (hash >>> 0) % places
    const known = this.#known[place]
    if (known !== undefined && isPart(known.bytes, buffer, start, end)) return known
    // A copy, which keeps nothing else of the buffer.
    const bytes = Buffer.from(buffer.subarray(start, end))
    const found = { bytes, text: bytes.toString('utf8') }
    this.#known[place] = found
    return found
  }
}

function isPart(bytes: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== buffer[start + at]) return false
  return true
}
