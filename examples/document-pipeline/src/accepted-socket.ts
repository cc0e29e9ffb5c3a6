import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { StatusSocket } from '@waybill/jobs'

/** RFC 6455, section 1.3. */
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Section 5.2: the last frame of a message, which is a text, or says good-bye. */
const frames = { text: 0x81, close: 0x88 } as const

/**
 * A WebSocket to a client that only listens, so that the example needs nothing to be installed. Programs take a library: with `ws` it
 * is `new WebSocketServer({ server }).on('connection', show)`.
 */
export class AcceptedSocket extends EventEmitter implements StatusSocket {
  readonly #stream: Duplex
  #isOpen = true

  constructor({ headers }: IncomingMessage, stream: Duplex) {
    super()
    this.#stream = stream
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}${guid}`).digest('base64')
    const lines = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${accept}`,
    ]
    stream.write(`${lines.join('\r\n')}\r\n\r\n`)
    // Whatever such a client says, it is that it leaves.
    for (const event of ['data', 'error', 'close']) stream.on(event, () => this.close())
  }

  get readyState(): number {
    return this.#isOpen ? 1 : 3
  }

  get bufferedAmount(): number {
    return this.#stream.writableLength
  }

  send(text: string): void {
    if (this.#isOpen) this.#write(frames.text, Buffer.from(text))
  }

  close(code = 1000, reason = ''): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const number = Buffer.alloc(2)
    number.writeUInt16BE(code)
    this.#write(frames.close, Buffer.concat([number, Buffer.from(reason)]))
    this.#stream.end()
    this.emit('close')
  }

  addEventListener(type: 'close' | 'error', listener: () => void): void {
    this.on(type, listener)
  }

  #write(frame: number, payload: Buffer): void {
    const { length } = payload
    // Section 5.2: a length of one byte, or 126 and one of two; what a page is told is shorter than 64 KiB.
    const head = length < 126 ? [frame, length] : [frame, 126, length >> 8, length & 0xff]
    this.#stream.write(Buffer.concat([Buffer.from(head), payload]))
  }
}
