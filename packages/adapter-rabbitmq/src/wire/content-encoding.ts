import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib'

/** What a small message may unpack to, so that none fills the memory. */
const maxOutputLength = 128 * 1024 * 1024

const decoders: Readonly<Record<string, typeof gunzipSync>> = {
  gzip: gunzipSync,
  'x-gzip': gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
}

/** The content without its `content-encoding`. What is unknown or broken stays as it came, for core to refuse. */
export function unpacked(content: Buffer, encoding: unknown): Buffer {
  const decode = typeof encoding === 'string' ? decoders[encoding.toLowerCase()] : undefined
  if (decode === undefined) return content
  try {
    return decode(content, { maxOutputLength })
  } catch {
    return content
  }
}
