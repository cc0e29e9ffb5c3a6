import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import type { CompressionTypes } from 'kafkajs'
import type { KafkaCompression } from '../options.ts'
import { kafkajs } from './kafkajs.ts'

// Loaded when they are needed.
const loadSnappy = async () => (await import('snappyjs')).default
const loadLz4 = async () => (await import('lz4js')).default

/** What kafkajs asks of a codec (its documentation, "Producing messages", "Other"). */
export interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(compressed: Buffer): Promise<Buffer>
}

export const compressionTypes: Readonly<Record<KafkaCompression, CompressionTypes>> = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
}

/** The header of snappy-java's stream format, in which Java clients write: magic and two versions of four bytes each. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const xerialHeaderLength = 16

const snappy: Codec = {
  async compress({ buffer }) {
    const module = await loadSnappy()
    return Buffer.from(module.compress(buffer))
  },
  async decompress(compressed) {
    const module = await loadSnappy()
    if (!compressed.subarray(0, xerialMagic.length).equals(xerialMagic))
      return Buffer.from(module.uncompress(compressed))
    const chunks: Uint8Array[] = []
    for (let at = xerialHeaderLength; at < compressed.length; ) {
      const start = at + 4
      at = start + compressed.readInt32BE(at)
      chunks.push(module.uncompress(compressed.subarray(start, at)))
    }
    return Buffer.concat(chunks)
  },
}

/**
 * Magic number, flags (version 1, independent blocks), block size (4 MiB) and checksum of an LZ4 frame (LZ4 Frame Format
 * 1.6.1, "General Structure of LZ4 Frame Format"). lz4js does not say that blocks are independent, and Kafka takes no others.
 */
const lz4Header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73])
const lz4EndMark = Buffer.alloc(4)
const lz4BlockSize = 4 * 1024 * 1024

const lz4: Codec = {
  async compress({ buffer }) {
    const module = await loadLz4()
    const parts: Uint8Array[] = [lz4Header]
    for (let at = 0; at < buffer.length; at += lz4BlockSize) {
      const frame = module.compress(buffer.subarray(at, at + lz4BlockSize))
      parts.push(frame.slice(lz4Header.length, -lz4EndMark.length))
    }
    return Buffer.concat([...parts, lz4EndMark])
  },
  async decompress(compressed) {
    return Buffer.from((await loadLz4()).decompress(compressed))
  },
}

// Node has it since 22.15; without it such topics cannot be read, and the error says so.
const zstd: Codec | undefined =
  typeof zstdCompress === 'function'
    ? {
        compress: ({ buffer }) => promisify(zstdCompress)(buffer),
        decompress: (compressed) => promisify(zstdDecompress)(compressed),
      }
    : undefined

/** The codec of a compression type by its number (Kafka documentation, "Record Batch", `attributes`). */
export function codecOf(type: number): Codec {
  const known = Object.values(compressionTypes).find((each) => each === type)
  if (known === undefined || known === kafkajs.CompressionTypes.None) {
    throw new Error(`There is no compression of type ${type}`)
  }
  return kafkajs.CompressionCodecs[known]()
}

/**
 * Teaches the client every codec a topic may hold: meeting one it does not know ends a consumer. The registry is the
 * client's own and global; codecs that the application registered stay.
 */
export function registerCodecs(): void {
  register(kafkajs.CompressionTypes.Snappy, snappy)
  register(kafkajs.CompressionTypes.LZ4, lz4)
  if (zstd !== undefined) register(kafkajs.CompressionTypes.ZSTD, zstd)
}

function register(
  type: CompressionTypes.Snappy | CompressionTypes.LZ4 | CompressionTypes.ZSTD,
  codec: Codec,
) {
  const { CompressionCodecs: registry } = kafkajs
  try {
    registry[type]()
  } catch {
    // It is not there yet: the client's placeholder throws.
    registry[type] = () => codec
  }
}
