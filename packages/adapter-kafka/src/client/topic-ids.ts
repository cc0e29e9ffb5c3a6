import type { Broker } from 'kafkajs'

/** Kafka protocol guide, "Metadata API"; the first version that every broker with topic ids in KRaft speaks. */
const metadata = { apiKey: 3, apiVersion: 12, apiName: 'Metadata' }

interface Sender {
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null
  readonly connectionPool: { send(request: object): Promise<unknown> }
}

function isSender(broker: object): broker is Sender {
  return 'versions' in broker && 'connectionPool' in broker
}

/**
 * The ids of topics by name. A topic that is deleted and made again has another id under the same name. Those the broker
 * does not know are left out, and so are all of them when it is too old to tell.
 */
export async function topicIds(broker: Broker, names: readonly string[]): Promise<Map<string, string>> {
  if (!isSender(broker)) return new Map()
  const supported = broker.versions?.[metadata.apiKey]
  if (supported === undefined || supported.maxVersion < metadata.apiVersion) return new Map()
  let ids = new Map<string, string>()
  await broker.connectionPool.send({
    request: { ...metadata, encode: async () => encoded(encodeTopicIds(names)) },
    response: {
      decode: async (answer: Buffer) => {
        ids = decodeTopicIds(answer)
        return { clientSideThrottleTime: 0 }
      },
      parse: async (data: unknown) => data,
    },
  })
  return ids
}

/** What kafkajs takes for something encoded. */
function encoded(buffer: Buffer) {
  return { buf: buffer, buffer }
}

const idLength = 16
/** No tagged fields follow (Kafka protocol guide, "Protocol Primitive Types", and KIP-482). */
const noTags = Buffer.from([0])

/** The end of the request's header, which kafkajs writes as older versions have it, and the request. */
export function encodeTopicIds(names: readonly string[]): Buffer {
  const topics = names.flatMap((name) => {
    const text = Buffer.from(name)
    return [Buffer.alloc(idLength), unsignedVarint(text.length + 1), text, noTags]
  })
  const flags = Buffer.from([0, 0])
  return Buffer.concat([noTags, unsignedVarint(names.length + 1), ...topics, flags, noTags])
}

function unsignedVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  skip(bytes: number): void {
    this.#at += bytes
  }

  int16(): number {
    this.#at += 2
    return this.#buffer.readInt16BE(this.#at - 2)
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#at)
      this.#at += 1
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }

  bytes(length: number): Buffer {
    this.#at += length
    return this.#buffer.subarray(this.#at - length, this.#at)
  }

  /** Compact: its length is one more than it has bytes, and 0 is null. */
  text(): string | undefined {
    const length = this.unsignedVarint()
    return length === 0 ? undefined : this.bytes(length - 1).toString('utf8')
  }

  array(readItem: () => void): void {
    for (let left = this.unsignedVarint(); left > 1; left -= 1) readItem()
  }

  tags(): void {
    for (let left = this.unsignedVarint(); left > 0; left -= 1) {
      this.unsignedVarint()
      this.skip(this.unsignedVarint())
    }
  }
}

export function decodeTopicIds(answer: Buffer): Map<string, string> {
  const reader = new Reader(answer)
  const ids = new Map<string, string>()
  const skipInt32Array = () => reader.array(() => reader.skip(4))
  // What is left of the response's header, and the throttle time.
  reader.tags()
  reader.skip(4)
  reader.array(() => {
    reader.skip(4)
    reader.text()
    reader.skip(4)
    reader.text()
    reader.tags()
  })
  // The cluster's id and its controller.
  reader.text()
  reader.skip(4)
  reader.array(() => {
    const error = reader.int16()
    const name = reader.text()
    const id = reader.bytes(idLength)
    if (error === 0 && name !== undefined) ids.set(name, id.toString('base64url'))
    reader.skip(1)
    reader.array(() => {
      reader.skip(2 + 4 + 4 + 4)
      skipInt32Array()
      skipInt32Array()
      skipInt32Array()
      reader.tags()
    })
    reader.skip(4)
    reader.tags()
  })
  return ids
}
