import * as zlib from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Size } from '../lib/size.ts'
import { incoming, outgoing } from './body.fixture.ts'
import { algorithms, requireAlgorithm } from './codings.ts'
import { compress, decompress } from './compress.ts'

const text = (bytes: number) =>
  Buffer.from('{"orderId":"o-1","total":42}'.repeat(Math.ceil(bytes / 28)).slice(0, bytes))

// Node 22 has zstd from 22.15 on.
const available = algorithms.filter((algorithm) => algorithm !== 'zstd' || 'zstdCompress' in zlib)

describe.each(available)('compress with %s', (algorithm) => {
  test.each([1, 100, 16_384, 65_536, 65_537, 1_000_000, 10_000_000])('carries %d bytes', async (bytes) => {
    const stage = compress({ above: 0, algorithm })
    const body = text(bytes)
    const staged = await stage.apply(body, outgoing)
    if (bytes >= 100) expect(staged?.note).toBe(algorithm)
    if (staged === undefined) return
    expect(staged.body.byteLength).toBeLessThan(bytes)
    for (const reader of [stage, decompress, compress({ algorithm: 'gzip', level: 9 })]) {
      expect(Buffer.compare((await reader.undo(staged.body, algorithm, incoming)) ?? text(0), body)).toBe(0)
    }
  })

  test('leaves alone what is small, and what does not shrink', async () => {
    const stage = compress({ algorithm })
    expect(await stage.apply(text(8192), outgoing)).toBeUndefined()
    expect(await stage.apply(text(8193), outgoing)).toBeDefined()
    const noise = crypto.getRandomValues(new Uint8Array(20_000))
    expect(await stage.apply(noise, outgoing)).toBeUndefined()
    expect(await compress({ above: 0, algorithm }).apply(new Uint8Array(), outgoing)).toBeUndefined()
  })

  test('does not unpack a bomb, however small it is', async () => {
    const bomb = (
      await compress({ above: 0, algorithm, maxBytes: '100mb' }).apply(Buffer.alloc(70 * 1024 ** 2), outgoing)
    )?.body
    for (const [stage, maxBytes] of [
      [decompress, 67_108_864],
      [compress({ maxBytes: '1mb' }), 1_048_576],
      [compress({ maxBytes: 1000 }), 1000],
    ] as const) {
      const unpacked = Promise.resolve().then(() => stage.undo(bomb ?? text(0), algorithm, incoming))
      await expect(unpacked).rejects.toThrow(`more than ${maxBytes} bytes, the maxBytes of compress()`)
    }
  })

  test('refuses what is truncated, at every length', async () => {
    const staged = await compress({ above: 0, algorithm }).apply(text(3000), outgoing)
    const body = staged?.body ?? text(0)
    for (let length = 0; length < body.byteLength; length += 1) {
      await expect(decompress.undo(body.subarray(0, length), algorithm, incoming)).rejects.toThrow()
    }
  })

  test('takes a level, and carries many bodies at once', async () => {
    const stage = compress({ above: 0, algorithm, level: 1 })
    const bodies = Array.from({ length: 50 }, (_, index) => text(1000 * (index + 1)))
    const back = await Promise.all(
      bodies.map(async (body) =>
        stage.undo((await stage.apply(body, outgoing))?.body ?? body, algorithm, incoming),
      ),
    )
    expect(back.map((body) => body?.byteLength)).toEqual(bodies.map((body) => body.byteLength))
    expect(() => compress({ algorithm, level: 23 })).toThrow(
      new RegExp(`level: expected . to \\d+ for ${algorithm}`),
    )
  })
})

test('a Node without zstd is told by name', () => {
  expect(() => requireAlgorithm('zstd', false)).toThrow(
    `compress() with zstd needs Node 22.15 or newer, and this is ${process.version}; use gzip or brotli, or a newer Node`,
  )
  for (const algorithm of ['gzip', 'brotli']) expect(() => requireAlgorithm(algorithm, false)).not.toThrow()
})

test.each(available.filter((algorithm) => algorithm !== 'brotli'))(
  '%s notices a flipped bit',
  async (algorithm) => {
    const body = text(3000)
    const packed = (await compress({ above: 0, algorithm }).apply(body, outgoing))?.body ?? body
    for (let bit = 0; bit < packed.byteLength * 8; bit += 1) {
      const flipped = Buffer.from(packed)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const got = await Promise.resolve(decompress.undo(flipped, algorithm, incoming)).catch(() => body)
      // Some bits mean nothing, such as those of gzip's time.
      expect(Buffer.compare(got ?? Buffer.of(), body)).toBe(0)
    }
  },
)

test('a body beyond maxBytes is not sent, because readers would refuse it', async () => {
  const applied = compress({ above: 0, maxBytes: '1kb' }).apply(text(2000), outgoing)
  await expect(applied).rejects.toMatchObject({ code: 'too-large', fate: 'not-sent', retryable: false })
})

test.each(['', 'lz4', 'GZIP', '__proto__', 'constructor', 'toString'])(
  'a note "%s" is of none of ours',
  (note) => {
    expect(decompress.undo(text(10), note, incoming)).toBeUndefined()
  },
)

test('what is not packed at all is refused, and what others packed is read', async () => {
  await expect(decompress.undo(text(100), 'gzip', incoming)).rejects.toThrow()
  expect(await decompress.undo(zlib.gzipSync('a'), 'gzip', incoming)).toEqual(Buffer.from('a'))
})

test('the stage that only reads leaves every body as it is', () => {
  expect(decompress.apply(text(1_000_000), outgoing)).toBeUndefined()
})

test('all wrong options are named', () => {
  const wrong = { above: '8 kb' as Size, algorithm: 'lz4' as 'gzip', maxBytes: 0, from: 1 }
  expect(() => compress(wrong)).toThrow(/above: expected a size: .*\n.*algorithm: .*\n.*maxBytes: .*\n.*from/)
})
