import { RepeatedTexts } from '@waybill/core/driver'
import {
  basicClass,
  basicDeliver,
  bodyFrame,
  propertyFlags as flag,
  frameEnd,
  frameHeadBytes,
  headerFrame,
  longText,
  methodFrame,
} from './frames.ts'

type Fields = Readonly<Record<string, unknown>>

/** A frame as amqplib's own decoder has it: of a method, of properties, or of content. */
export interface Frame {
  readonly channel: number
  readonly id?: number
  readonly fields?: Fields
  readonly size?: number
  readonly content?: Buffer
}

/** The frames of a message, and where they end. */
export interface DeliverFrames {
  readonly frames: readonly [Frame, Frame, Frame]
  readonly end: number
}

const repeated = new RepeatedTexts()

/**
 * The delivery that a buffer begins with, as amqplib reads it, but its frames in one go: amqplib cuts the buffer for each,
 * and makes every text anew. Undefined for what is not usual or not there as a whole: that is left to amqplib.
 */
export function readDeliverFrames(buffer: Buffer): DeliverFrames | undefined {
  const reader = new Reader(buffer)
  const channel = reader.open(methodFrame)
  if (channel === undefined || reader.uint32() !== basicDeliver) return undefined
  const deliver: Frame = { id: basicDeliver, channel, fields: reader.deliverFields() }
  if (!reader.close() || reader.open(headerFrame) !== channel) return undefined
  // Class, and a weight, which is 0.
  if (reader.uint16() !== basicClass || reader.uint16() !== 0) return undefined
  const size = reader.uint64()
  const header: Frame = { id: basicClass, channel, size, fields: reader.properties() }
  if (!reader.close() || reader.open(bodyFrame) !== channel) return undefined
  // More than one frame's, or none.
  const content = reader.rest()
  if (content.length !== size || !reader.close()) return undefined
  return { frames: [deliver, header, { channel, content }], end: reader.at }
}

class Reader {
  readonly #buffer: Buffer
  /** Where the payload of the open frame ends. */
  #end = 0
  /** False once something was not to be decoded here; what is read from then on means nothing. */
  #isUsual = true
  at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  /** The channel of the frame that begins here; undefined when it is of another type, or not all there. */
  open(type: number): number | undefined {
    const start = this.at
    const buffer = this.#buffer
    if (start + frameHeadBytes > buffer.length || buffer[start] !== type) return undefined
    this.#end = start + frameHeadBytes
    this.at = start + 1
    const channel = this.uint16()
    this.#end += this.uint32()
    return buffer[this.#end] === frameEnd ? channel : undefined
  }

  /** Whether the frame was read to its end, and all of it was usual. */
  close(): boolean {
    const isWhole = this.#isUsual && this.at === this.#end
    this.at = this.#end + 1
    return isWhole
  }

  rest(): Buffer {
    const rest = this.#buffer.subarray(this.at, this.#end)
    this.at = this.#end
    return rest
  }

  uint8(): number {
    const value = this.#has(1) ? this.#buffer[this.at] : 0
    this.at += 1
    return value ?? 0
  }

  uint16(): number {
    return this.uint8() * 0x100 + this.uint8()
  }

  uint32(): number {
    const value = this.#has(4) ? this.#buffer.readUInt32BE(this.at) : 0
    this.at += 4
    return value
  }

  uint64(): number {
    return this.uint32() * 0x1_0000_0000 + this.uint32()
  }

  deliverFields(): Fields {
    return {
      consumerTag: this.#shortText(),
      deliveryTag: this.uint64(),
      redelivered: (this.uint8() & 1) === 1,
      exchange: this.#shortText(),
      routingKey: this.#shortText(),
    }
  }

  properties(): Fields {
    const flags = this.uint16()
    if (flags === 0) return {}
    // All of them, as with amqplib; they are evaluated, and so read, in this order.
    return {
      contentType: flags & flag.contentType ? this.#shortText() : undefined,
      contentEncoding: flags & flag.contentEncoding ? this.#shortText() : undefined,
      headers: flags & flag.headers ? this.#table() : undefined,
      deliveryMode: flags & flag.deliveryMode ? this.uint8() : undefined,
      priority: flags & flag.priority ? this.uint8() : undefined,
      correlationId: flags & flag.correlationId ? this.#shortText() : undefined,
      replyTo: flags & flag.replyTo ? this.#shortText() : undefined,
      expiration: flags & flag.expiration ? this.#shortText() : undefined,
      messageId: flags & flag.messageId ? this.#shortText() : undefined,
      timestamp: flags & flag.timestamp ? this.uint64() : undefined,
      type: flags & flag.type ? this.#shortText() : undefined,
      userId: flags & flag.userId ? this.#shortText() : undefined,
      appId: flags & flag.appId ? this.#shortText() : undefined,
      clusterId: flags & flag.clusterId ? this.#shortText() : undefined,
    }
  }

  #table(): Fields {
    const table: Record<string, unknown> = {}
    const length = this.uint32()
    const end = this.at + length
    while (this.at < end && this.#isUsual) {
      const name = this.#shortText()
      if (this.uint8() !== longText) this.#isUsual = false
      else table[name] = this.#text(this.uint32())
    }
    if (this.at !== end) this.#isUsual = false
    return table
  }

  #shortText(): string {
    return this.#text(this.uint8())
  }

  #text(length: number): string {
    const start = this.at
    this.at += length
    if (this.at <= this.#end) return repeated.text(this.#buffer, start, this.at)
    this.#isUsual = false
    return ''
  }

  #has(bytes: number): boolean {
    if (this.at + bytes > this.#end) this.#isUsual = false
    return this.#isUsual
  }
}
