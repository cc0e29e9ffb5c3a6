import { z } from 'zod'
import { MessagingError } from '../lib/errors.ts'
import { type Size, sizeOption } from '../lib/size.ts'
import { lazily, parseOptions } from '../lib/validation.ts'
import type { Stage } from '../messages/stage.ts'
import { type Algorithm, algorithms, codingOf, highestLevel, requireAlgorithm } from './codings.ts'

export interface CompressOptions {
  /** Bodies of at most this size are left alone. Default: `8kb`. */
  readonly above?: Size
  /** Default: `gzip`, which every Node reads. `zstd` is quicker and packs as well; sender and readers need Node 22.15 for it. */
  readonly algorithm?: Algorithm
  /** Of effort: 1 to 9 for gzip, 0 to 11 for brotli, 1 to 22 for zstd. Default: 6, 4 and 3. */
  readonly level?: number
  /** The largest body, unpacked, that is sent or read; it bounds what a hostile message can take. Default: `64mb`. */
  readonly maxBytes?: Size
}

const defaultMaxBytes = 64 * 1024 ** 2

const optionsSchema = lazily(() =>
  z
    .strictObject({
      above: sizeOption().default(8 * 1024),
      algorithm: z.enum(algorithms).default('gzip'),
      level: z.int().optional(),
      // What Node can have in one buffer on every platform (Node.js documentation, "buffer.constants.MAX_LENGTH").
      maxBytes: sizeOption({ min: 1, max: 2 ** 31 - 1 }).default(defaultMaxBytes),
    })
    .superRefine(({ algorithm, level }, context) => {
      const [lowest, highest] = highestLevel[algorithm]
      if (level === undefined || (level >= lowest && level <= highest)) return
      context.addIssue({
        code: 'custom',
        path: ['level'],
        message: `expected ${lowest} to ${highest} for ${algorithm}`,
      })
    }),
)

/**
 * Compresses bodies above a size; those that would not become smaller are left alone. What it made is
 * read by `decompress` too. Put it before `encrypt`: what is encrypted does not shrink.
 *
 * @example
 * const bus = await connect({ url, stages: [compress({ above: '8kb', algorithm: 'zstd' })] })
 *
 * @throws {ConfigurationError} with every problem of the options.
 * @throws {MessagingError} `unsupported` when this Node does not have the algorithm.
 */
export function compress(options: CompressOptions = {}): Stage {
  const { above, algorithm, level, maxBytes } = parseOptions(optionsSchema(), options, 'compress options')
  requireAlgorithm(algorithm)
  const coding = codingOf(algorithm)
  return {
    name: 'compress',
    async apply(body, { type, id }) {
      if (body.byteLength <= above) return undefined
      if (body.byteLength > maxBytes) {
        const what = `The body of message ${type} ${id} has ${body.byteLength} bytes`
        throw new MessagingError(
          'too-large',
          `${what}, and compress() sends up to ${maxBytes}; readers would refuse it. Raise maxBytes on both sides`,
          { fate: 'not-sent' },
        )
      }
      const packed = await coding?.pack(body, level)
      return packed === undefined || packed.byteLength >= body.byteLength
        ? undefined
        : { body: packed, note: algorithm }
    },
    undo: (body, note) => unpack(body, note, maxBytes),
  }
}

/** Reads what `compress` made, up to 64 MB, and compresses nothing: for buses that have no `compress` among their stages. */
export const decompress: Stage = {
  name: 'compress',
  apply: () => undefined,
  undo: (body, note) => unpack(body, note, defaultMaxBytes),
}

function unpack(body: Uint8Array, note: string, maxBytes: number): Promise<Uint8Array> | undefined {
  const coding = codingOf(note)
  if (coding === undefined) return undefined
  requireAlgorithm(note)
  return coding.unpack(body, maxBytes)
}
