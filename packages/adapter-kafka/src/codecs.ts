import { promisify } from 'node:util'
import { zstdCompress, zstdDecompress } from 'node:zlib'
import kafkajs, { CompressionTypes } from 'kafkajs'
import type { KafkaCompression } from './options.ts'

/** What kafkajs asks of a codec (its documentation, "Producing messages", "Other"). */
interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(compressed: Buffer): Promise<Buffer>
}

export const compressionTypes: Readonly<Record<KafkaCompression, CompressionTypes>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

/** The header of snappy-java's stream format, in which Java clients write: magic and two versions of four bytes each. */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const xerialHeaderLength = 16

const snappy: Codec = {
  async compress({ buffer }) {
    const { default: module } = await import('snappyjs')
    return Buffer.from(module.compress(buffer))
  },
  async decompress(compressed) {
    const { default: module } = await import('snappyjs')
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

const lz4: Codec = {
  async compress({ buffer }) {
    const { default: module } = await import('lz4js')
    return Buffer.from(module.compress(buffer))
  },
  async decompress(compressed) {
    const { default: module } = await import('lz4js')
    return Buffer.from(module.decompress(compressed))
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

/**
 * Teaches the client every codec a topic may hold: meeting one it does not know ends a consumer. The registry is the
 * client's own and global; codecs that the application registered stay.
 */
export function registerCodecs(): void {
  register(CompressionTypes.Snappy, snappy)
  register(CompressionTypes.LZ4, lz4)
  if (zstd !== undefined) register(CompressionTypes.ZSTD, zstd)
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
