import { z } from 'zod'
import { lazily, parseOptions } from '../lib/validation.ts'
import { encodeMessage } from '../messages/cloud-events.ts'
import type { Codec } from '../messages/codec.ts'
import { jsonType, toJson } from './json-body.ts'

export interface CloudEventsOptions {
  /**
   * `structured`: the body is the whole event, and says everything on its own. `binary`: the body is the data alone, and the
   * attributes are in the transport's headers; for consumers that know no envelope, on brokers with headers. Default:
   * `structured`.
   */
  readonly mode?: 'structured' | 'binary'
}

const optionsSchema = lazily(() =>
  z.strictObject({ mode: z.enum(['structured', 'binary']).default('structured') }),
)

/**
 * CloudEvents 1.0, the default format. Events of both modes are always read, whatever codec is chosen.
 *
 * ```ts
 * const bus = await connect({ url, codec: cloudEvents({ mode: 'binary' }) })
 * ```
 *
 * @throws {ConfigurationError} when the options are wrong.
 */
export function cloudEvents(options: CloudEventsOptions = {}): Codec {
  const { mode } = parseOptions(optionsSchema(), options, 'cloudEvents options')
  return {
    name: 'cloudEvents',
    encode: (message) => {
      if (mode === 'structured') return encodeMessage(message)
      const { data } = message
      if (data instanceof Uint8Array) return { body: data, contentType: 'application/octet-stream' }
      return { body: data === undefined ? new Uint8Array() : toJson(data), contentType: jsonType }
    },
    // Core reads them itself, when no other codec takes the body.
    decode: () => undefined,
  }
}
