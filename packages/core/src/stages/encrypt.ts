import type { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { andThen } from '../lib/and-then.ts'
import { hasFunctions, lazily, parseOptions } from '../lib/validation.ts'
import type { IncomingBody, Stage } from '../messages/stage.ts'
import {
  type EncryptionKey,
  fixedKeys,
  type KeyProvider,
  type Keys,
  keyId,
  keySchema,
  providedKeys,
} from './keys.ts'
import { type SealedClaims, seal, unseal } from './sealed-body.ts'

export type EncryptOptions =
  | {
      /** By id: 1 to 128 visible ASCII characters, which travel in a header. All of them are used for reading; none may be undefined. */
      readonly keys: Readonly<Record<string, EncryptionKey | undefined>>
      /** The id of the key to encrypt with. */
      readonly use: string
    }
  | { readonly keys: KeyProvider }

const isProvider = (value: unknown): value is KeyProvider => hasFunctions(value, ['find', 'current'])

const fixedSchema = lazily(() =>
  z
    .strictObject({
      keys: z.record(
        z.string().regex(keyId, 'expected an id of 1 to 128 visible ASCII characters'),
        keySchema(),
        'expected keys by id, or a key provider with the functions current and find',
      ),
      use: z.string("expected the id of the key to encrypt with, such as '2026-11'"),
    })
    .refine(({ keys, use }) => Object.hasOwn(keys, use), {
      path: ['use'],
      message: 'expected the id of one of the keys',
    }),
)

const providerSchema = lazily(() => z.strictObject({ keys: z.custom<KeyProvider>(isProvider) }))

/**
 * Encrypts bodies with AES-256-GCM. Headers stay readable, for routing; the body is bound to the message's id, type and
 * content type, so that it does not pass for another message's. What was changed on its way is an `undecodable` dead letter.
 * To rotate, give readers the new key, then let senders `use` it, and take the old one away when nothing of it is left. Put it after
 * `compress` and before `claimCheck`.
 *
 * @example
 * const keys = { '2026-11': process.env.KEY_2026_11, '2026-12': process.env.KEY_2026_12 }
 * const bus = await connect({ url, stages: [encrypt({ keys, use: '2026-12' })] })
 *
 * @throws {ConfigurationError} with every problem of the options.
 */
export function encrypt(options: EncryptOptions): Stage {
  const keys = keysOf(options)
  return {
    name: 'encrypt',
    apply: (body, { id, type, contentType }) =>
      andThen(keys.current(), (current) => ({
        body: seal(current.key, current.id, { id, type, contentType }, body),
        note: current.id,
      })),
    undo: (body, note, message) =>
      andThen(keys.find(note), (key) => (key === undefined ? undefined : opened(key, note, body, message))),
  }
}

function keysOf(options: EncryptOptions): Keys {
  if (isProvider(options?.keys)) {
    return providedKeys(parseOptions(providerSchema(), options, 'encrypt options').keys)
  }
  const { keys, use } = parseOptions(fixedSchema(), options, 'encrypt options')
  const all = new Map(Object.entries(keys))
  const key = all.get(use)
  if (key === undefined) throw new TypeError(`No key "${use}"`)
  return fixedKeys(all, { id: use, key })
}

function opened(key: KeyObject, note: string, sealed: Uint8Array, message: IncomingBody): Uint8Array {
  const { claims, body } = unseal(key, note, sealed)
  const { attributes, contentType } = message
  const said = { id: attributes.id ?? claims.id, type: attributes.type ?? claims.type, contentType }
  for (const name of ['id', 'type', 'contentType'] as const) refuseOther(name, claims, said[name])
  return body
}

/** Headers that a transport does not carry cannot have been changed; the content type is always there. */
function refuseOther(name: keyof SealedClaims, claims: SealedClaims, said: string | undefined): void {
  if (said === claims[name]) return
  throw new Error(
    `Its headers were changed on their way: ${name} is "${said}" there, and "${claims[name]}" under the seal. Do not trust it`,
  )
}
