export type Bytes = Buffer | string | null | undefined

/** As UTF-8; -1 when there is nothing, as the protocol has it. */
export function lengthOf(bytes: Bytes): number {
  if (bytes === null || bytes === undefined) return -1
  return typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
}

/** Signed numbers as unsigned ones: 0, -1, 1, -2, … */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1
}

export function sizeOfVarint(value: number): number {
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1
  return size
}

/** With their length before them. */
export function sizeOfBytes(length: number): number {
  return sizeOfVarint(length) + Math.max(0, length)
}

// Below it, a loop is faster than a call into the runtime.
const shortText = 64

/** Writes the primitive types of the protocol (Kafka protocol guide, "Protocol Primitive Types"). */
export class Writer {
  readonly buffer: Buffer
  at = 0

  /** Of exactly what will be written. */
  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  byte(value: number): void {
    this.buffer[this.at] = value
    this.at += 1
  }

  int16(value: number): void {
    this.at = this.buffer.writeInt16BE(value, this.at)
  }

  int32(value: number): void {
    this.at = this.buffer.writeInt32BE(value, this.at)
  }

  int64(value: number | string): void {
    this.at = this.buffer.writeBigInt64BE(BigInt(value), this.at)
  }

  varint(value: number): void {
    let rest = zigzag(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
    this.byte(rest)
  }

  /** `length`: as `lengthOf` has it. */
  bytes(bytes: Bytes, length: number): void {
    this.varint(length)
    if (typeof bytes === 'string') this.#text(bytes, length)
    else if (bytes !== null && bytes !== undefined) this.raw(bytes)
  }

  raw(bytes: Buffer): void {
    bytes.copy(this.buffer, this.at)
    this.at += bytes.length
  }

  /** A short length, then the text; null is a length of -1. */
  string(text: string | null): void {
    const length = lengthOf(text)
    this.int16(length)
    if (text !== null) this.#text(text, length)
  }

  #text(text: string, length: number): void {
    if (length === text.length && length < shortText) {
      for (let index = 0; index < length; index += 1) this.buffer[this.at + index] = text.charCodeAt(index)
    } else this.buffer.write(text, this.at, 'utf8')
    this.at += length
  }
}
