import {
  basicClass,
  basicPublish,
  bodyFrame,
  frameEnd,
  frameHeadBytes,
  headerFrame,
  longText,
  maxShortTextBytes,
  methodFrame,
  propertyFlags,
} from './frames.ts'

const flagsByName = Object.entries(propertyFlags)

/** The fields of `basic.publish`, by amqplib's names. */
export interface PublishFields {
  readonly exchange: string
  readonly routingKey: string
  readonly mandatory: boolean
}

/** The properties of a message, by amqplib's names. All texts, but for `headers`, `deliveryMode` and `priority`. */
export type PublishProperties = Readonly<Record<string, unknown>>

/** Messages are put together here; what does not fit is amqplib's. Encoding is synchronous, so one is enough. */
const scratch = Buffer.allocUnsafe(32 * 1024)

/** UTF-8 takes at most three bytes for each UTF-16 unit. */
const bytesPerUnit = 3

/**
 * A message as amqplib writes it, byte for byte, in one buffer: amqplib makes one of each part, and measures each text
 * twice. Undefined for what is not usual: that is left to amqplib and its checks.
 */
export function publishFrames(
  channel: number,
  { exchange, routingKey, mandatory }: PublishFields,
  values: PublishProperties,
  body: Buffer,
): Buffer | undefined {
  const writer = new Writer()
  const method = writer.open(methodFrame, channel)
  writer.uint32(basicPublish)
  // A ticket, which means nothing since AMQP 0-9.
  writer.uint16(0)
  writer.shortText(exchange)
  writer.shortText(routingKey)
  writer.uint8(mandatory ? 1 : 0)
  writer.close(method)

  const header = writer.open(headerFrame, channel)
  writer.uint16(basicClass)
  // A weight, which is 0, and the upper half of the size.
  writer.uint16(0)
  writer.uint32(0)
  writer.uint32(body.length)
  writer.properties(values)
  writer.close(header)

  if (body.length > 0) {
    const content = writer.open(bodyFrame, channel)
    writer.bytes(body)
    writer.close(content)
  }
  return writer.take()
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isByte(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xff
}

class Writer {
  #at = 0
  /** False once something could not be encoded here: after that nothing more is written. */
  #isUsual = true

  /** A copy of what was written. */
  take(): Buffer | undefined {
    if (!this.#isUsual) return undefined
    const taken = Buffer.allocUnsafe(this.#at)
    scratch.copy(taken, 0, 0, this.#at)
    return taken
  }

  /** Where the frame begins, for `close`. */
  open(type: number, channel: number): number {
    const start = this.#at
    this.uint8(type)
    this.uint16(channel)
    this.uint32(0)
    return start
  }

  close(start: number): void {
    this.#size(start + frameHeadBytes - 4)
    this.uint8(frameEnd)
  }

  uint8(value: number): void {
    if (!this.#hasRoom(1)) return
    scratch[this.#at] = value
    this.#at += 1
  }

  uint16(value: number): void {
    this.uint8(value >>> 8)
    this.uint8(value & 0xff)
  }

  uint32(value: number): void {
    if (this.#hasRoom(4)) this.#at = scratch.writeUInt32BE(value, this.#at)
  }

  bytes(bytes: Buffer): void {
    if (this.#hasRoom(bytes.length)) this.#at += bytes.copy(scratch, this.#at)
  }

  shortText(text: string): void {
    if (!this.#hasRoom(1 + text.length * bytesPerUnit)) return
    const length = scratch.write(text, this.#at + 1)
    if (length > maxShortTextBytes) this.#isUsual = false
    scratch[this.#at] = length
    this.#at += 1 + length
  }

  properties(values: PublishProperties): void {
    const flagsAt = this.#at
    this.uint16(0)
    let flags = 0
    for (const [name, flag] of flagsByName) {
      const value = values[name]
      if (value === undefined) continue
      flags |= flag
      if (typeof value === 'string') this.shortText(value)
      else if (name === 'headers' && isTable(value)) this.#table(value)
      else if ((name === 'deliveryMode' || name === 'priority') && isByte(value)) this.uint8(value)
      else this.#isUsual = false
    }
    if (this.#isUsual) scratch.writeUInt16BE(flags, flagsAt)
  }

  #table(values: Readonly<Record<string, unknown>>): void {
    const start = this.#at
    this.uint32(0)
    // What it inherits too: amqplib's `publish` makes the headers it is given a prototype.
    for (const name in values) {
      const value = values[name]
      if (value === undefined) continue
      if (typeof value !== 'string') {
        this.#isUsual = false
        return
      }
      this.shortText(name)
      this.#longText(value)
    }
    this.#size(start)
  }

  #longText(text: string): void {
    if (!this.#hasRoom(5 + text.length * bytesPerUnit)) return
    const length = scratch.write(text, this.#at + 5)
    this.uint8(longText)
    this.uint32(length)
    this.#at += length
  }

  /** Puts the size of what follows into the four bytes kept for it. */
  #size(at: number): void {
    if (this.#isUsual) scratch.writeUInt32BE(this.#at - at - 4, at)
  }

  #hasRoom(bytes: number): boolean {
    if (this.#at + bytes > scratch.length) this.#isUsual = false
    return this.#isUsual
  }
}
