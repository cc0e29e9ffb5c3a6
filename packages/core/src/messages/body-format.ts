import { z } from 'zod'
import { hasFunctions, lazily } from '../lib/validation.ts'
import type { Codec } from './codec.ts'
import type { Stage } from './stage.ts'

/** How bodies look on the wire. What a definition leaves out comes from its topic, and then from the bus. */
export interface BodyFormatOptions {
  /**
   * The format of bodies. Of several, the first that can encode is used for sending, and all are asked in turn when reading.
   * CloudEvents in structured and binary mode are always read. Default: `cloudEvents()`.
   */
  readonly codec?: Codec | readonly Codec[]
  /**
   * What is done to whole bodies, in this order when sending. When reading, what the message's headers name is undone, so that
   * bodies that went through other stages, or none, are read as well. Default: none.
   */
  readonly stages?: readonly Stage[]
}

export interface BodyFormat {
  readonly codecs: readonly Codec[] | undefined
  readonly stages: readonly Stage[] | undefined
}

const codecSchema = lazily(() =>
  z.custom<Codec>(
    (value) => hasFunctions(value, ['decode']) && 'name' in (value as object),
    'expected a codec such as json(): an object with name, decode and perhaps encode',
  ),
)

const stageSchema = lazily(() =>
  z.custom<Stage>(
    (value) =>
      hasFunctions(value, ['apply', 'undo']) && /^[a-z0-9-]{1,32}$/.test(String((value as Stage).name)),
    'expected a stage such as compress(): an object with apply, undo and a name of lower-case letters, digits and "-"',
  ),
)

/** The fields of options that take `BodyFormatOptions`. */
export const bodyFormatFields = lazily(() => ({
  codec: z
    .union([codecSchema().transform((codec) => [codec]), z.array(codecSchema()).min(1)], {
      error: 'expected a codec such as json(), or an array of them',
    })
    .optional(),
  stages: z
    .array(stageSchema())
    .refine((stages) => new Set(stages.map(({ name }) => name)).size === stages.length, {
      message: 'expected each stage once',
    })
    .optional(),
}))

/** Undefined when nothing is chosen. */
export function bodyFormatOf(options: {
  readonly codec?: readonly Codec[] | undefined
  readonly stages?: readonly Stage[] | undefined
}): BodyFormat | undefined {
  const { codec, stages } = options
  return codec === undefined && stages === undefined ? undefined : { codecs: codec, stages }
}
