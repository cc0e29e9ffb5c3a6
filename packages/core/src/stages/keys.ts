import { createSecretKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { MessagingError, toError } from '../lib/errors.ts'
import { lazily } from '../lib/validation.ts'

/** 32 bytes, or their text in Base64 (either alphabet) or hexadecimal. Make one with `openssl rand -base64 32`. */
export type EncryptionKey = Uint8Array | string

/**
 * Where keys come from that are not at hand, such as a KMS. It is asked for every message, so let it remember keys. Rejections are
 * taken for a service that is away: sending is tried again, and received messages stay in hand until it is back.
 *
 * @example
 * const keys: KeyProvider = {
 *   current: async () => ({ id: '2026-11', key: await secrets.get('orders-2026-11') }),
 *   find: (id) => secrets.get(`orders-${id}`), // undefined when there is none
 * }
 */
export interface KeyProvider {
  /** The key to encrypt with, under the id by which readers find it: 1 to 128 visible ASCII characters. */
  current(): CurrentKey | Promise<CurrentKey>
  /** Undefined when there is no such key. The id may be anybody's: it comes from a header. */
  find(id: string): EncryptionKey | undefined | Promise<EncryptionKey | undefined>
}

export interface CurrentKey {
  readonly id: string
  readonly key: EncryptionKey
}

/** Keys as the stage asks for them; at once where they are at hand. */
export interface Keys {
  current(): NamedKey | Promise<NamedKey>
  find(id: string): KeyObject | undefined | Promise<KeyObject | undefined>
}

export interface NamedKey {
  readonly id: string
  readonly key: KeyObject
}

const keyBytes = 32
const hexadecimal = /^[0-9a-f]{64}$/i
const base64 = /^[A-Za-z0-9+/_-]{43}=?$/
export const keyId = /^[\x21-\x7e]{1,128}$/
const keyHint =
  'expected a key of 32 bytes: a Uint8Array, or text in Base64 or hexadecimal; make one with "openssl rand -base64 32"'

/** Undefined when it is no key. */
export function toKey(value: unknown): KeyObject | undefined {
  if (value instanceof Uint8Array) return value.byteLength === keyBytes ? createSecretKey(value) : undefined
  if (typeof value !== 'string') return undefined
  if (hexadecimal.test(value)) return createSecretKey(value, 'hex')
  return base64.test(value) ? createSecretKey(value, 'base64') : undefined
}

export const keySchema = lazily(() =>
  z.unknown().transform((value, context) => {
    const key = toKey(value)
    if (key !== undefined) return key
    context.addIssue({ code: 'custom', message: keyHint })
    return z.NEVER
  }),
)

export function fixedKeys(keys: ReadonlyMap<string, KeyObject>, current: NamedKey): Keys {
  return { current: () => current, find: (id) => keys.get(id) }
}

export function providedKeys(provider: KeyProvider): Keys {
  return {
    async current() {
      const { id, key } = await asked('current()', async () => provider.current())
      return { id: checkedId(id), key: checkedKey(key, `current() of the key provider gave "${id}"`) }
    },
    async find(id) {
      // Nothing that current() could have given; a stranger's text does not reach the provider.
      if (!keyId.test(id)) return undefined
      const key = await asked(`find("${id}")`, async () => provider.find(id))
      return key === undefined || key === null
        ? undefined
        : checkedKey(key, `find("${id}") of the key provider gave it`)
    },
  }
}

async function asked<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask()
  } catch (error) {
    if (MessagingError.is(error)) throw error
    const why = toError(error).message
    throw new MessagingError('failed', `${what} of the key provider failed: ${why}`, {
      retryable: true,
      fate: 'not-sent',
      cause: error,
    })
  }
}

function checkedId(id: unknown): string {
  if (typeof id === 'string' && keyId.test(id)) return id
  throw unusable(
    'current() of the key provider gave a key without an id of 1 to 128 visible ASCII characters',
  )
}

function checkedKey(value: unknown, what: string): KeyObject {
  const key = toKey(value)
  if (key === undefined) throw unusable(`${what} a key that is none; ${keyHint}`)
  return key
}

/** The provider is at fault, not the message: it stays until the provider is mended. */
function unusable(message: string): MessagingError {
  return new MessagingError('failed', message, { retryable: true, fate: 'not-sent' })
}
