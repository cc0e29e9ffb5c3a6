import * as zlib from 'node:zlib'
import { MessagingError } from '../lib/errors.ts'

export const algorithms = ['zstd', 'gzip', 'brotli'] as const
export type Algorithm = (typeof algorithms)[number]

/** Lowest and highest of each. */
export const highestLevel: Readonly<Record<Algorithm, readonly [number, number]>> = {
  zstd: [1, 22],
  gzip: [1, 9],
  brotli: [0, 11],
}

/** Ways of compressing. Both functions take small bodies at once and large ones on another thread. */
export interface Coding {
  pack(body: Uint8Array, level: number | undefined): Promise<Uint8Array>
  /** @throws when the body is broken, or larger than `maxBytes` once unpacked. */
  unpack(body: Uint8Array, maxBytes: number): Promise<Uint8Array>
}

interface Functions {
  pack(body: Uint8Array, level: number | undefined, done: Done): void
  packSync(body: Uint8Array): Uint8Array
  unpack(body: Uint8Array, limit: Limit, done: Done): void
  unpackSync(body: Uint8Array, limit: Limit): Uint8Array
}

type Done = (error: Error | null, result: Uint8Array) => void
type Limit = { readonly maxOutputLength: number }

const { BROTLI_PARAM_QUALITY, ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = zlib.constants
const brotliOptions = (level = 4) => ({ params: { [BROTLI_PARAM_QUALITY]: level } })
// Without a checksum most flipped bits would give other data, in silence. Gzip has one anyway; Brotli has none.
const zstdOptions = (level = 3) => ({
  params: { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 },
})

const functions: ReadonlyMap<string, Functions> = new Map<Algorithm, Functions>([
  [
    'gzip',
    {
      pack: (body, level, done) => zlib.gzip(body, { ...(level !== undefined && { level }) }, done),
      packSync: (body) => zlib.gzipSync(body),
      unpack: zlib.gunzip,
      unpackSync: zlib.gunzipSync,
    },
  ],
  [
    'brotli',
    {
      pack: (body, level, done) => zlib.brotliCompress(body, brotliOptions(level), done),
      packSync: (body) => zlib.brotliCompressSync(body, brotliOptions()),
      unpack: zlib.brotliDecompress,
      unpackSync: zlib.brotliDecompressSync,
    },
  ],
  [
    'zstd',
    {
      pack: (body, level, done) => zlib.zstdCompress(body, zstdOptions(level), done),
      packSync: (body) => zlib.zstdCompressSync(body, zstdOptions()),
      unpack: (body, limit, done) => zlib.zstdDecompress(body, limit, done),
      unpackSync: (body, limit) => zlib.zstdDecompressSync(body, limit),
    },
  ],
])

// Below, a call on this thread takes half a millisecond at most, and another thread about twice as long.
const smallUnpacked = 64 * 1024
// Of what is packed nobody knows how large it will be: it is tried with room for a small body.
const smallPacked = 16 * 1024

/** Undefined for what is no algorithm. */
export function codingOf(algorithm: string): Coding | undefined {
  const known = functions.get(algorithm)
  if (known === undefined) return undefined
  return {
    // Of high levels nobody knows how long they take.
    pack: async (body, level) =>
      level === undefined && body.byteLength <= smallUnpacked
        ? known.packSync(body)
        : promised((done) => known.pack(body, level, done)),
    unpack: (body, maxBytes) => unpack(known, body, maxBytes),
  }
}

async function unpack(known: Functions, body: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  const least = Math.min(smallUnpacked, maxBytes)
  try {
    if (body.byteLength <= smallPacked) return known.unpackSync(body, { maxOutputLength: least })
  } catch (error) {
    if (!isTooLarge(error) || least === maxBytes) throw explained(error, maxBytes)
  }
  try {
    return await promised((done) => known.unpack(body, { maxOutputLength: maxBytes }, done))
  } catch (error) {
    throw explained(error, maxBytes)
  }
}

function promised(run: (done: Done) => void): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    run((error, result) => (error === null ? resolve(result) : reject(error)))
  })
}

function isTooLarge(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE'
}

function explained(error: unknown, maxBytes: number): unknown {
  if (!isTooLarge(error)) return error
  const what = `unpacked it has more than ${maxBytes} bytes, the maxBytes of compress()`
  return new Error(`${what}; if it is genuine, raise that and replay the dead letter`, { cause: error })
}

/** @throws {MessagingError} `unsupported` when this Node does not have it. */
export function requireAlgorithm(algorithm: string, hasZstd = typeof zlib.zstdCompress === 'function'): void {
  // Node.js documentation, "zlib.zstdCompress": added in 22.15.0 and 23.8.0.
  if (algorithm !== 'zstd' || hasZstd) return
  throw new MessagingError(
    'unsupported',
    `compress() with zstd needs Node 22.15 or newer, and this is ${process.version}; use gzip or brotli, or a newer Node`,
  )
}
