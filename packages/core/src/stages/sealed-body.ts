import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { lazily } from '../lib/validation.ts'

/** What is sealed with a body, so that it cannot pass for another message's. */
export interface SealedClaims {
  readonly id: string
  readonly type: string
  readonly contentType: string
}

/*
 * | bytes | |
 * | --- | --- |
 * | 1 | version of this format |
 * | 16 | salt, from which with the named key the message's own key is derived |
 * | 12 | initialization vector |
 * | … | encrypted: length of the claims (4 bytes, big-endian), claims as JSON, body |
 * | 16 | authentication tag, which also covers the version and the id of the key |
 *
 * AES-256-GCM (NIST SP 800-38D), its key by HKDF with SHA-256 (RFC 5869). With a key for each message there is no limit to the
 * messages of a named key, as there would be for random vectors under one (SP 800-38D, section 8.3).
 */
const version = 1
const saltBytes = 16
const vectorBytes = 12
const tagBytes = 16
const headBytes = 1 + saltBytes + vectorBytes
const algorithm = 'aes-256-gcm'
const derivedFor = 'waybill encrypt 1'

const claimsSchema = lazily(() => z.object({ id: z.string(), type: z.string(), contentType: z.string() }))

export function seal(key: KeyObject, keyId: string, claims: SealedClaims, body: Uint8Array): Uint8Array {
  const salt = randomBytes(saltBytes)
  const vector = randomBytes(vectorBytes)
  const cipher = createCipheriv(algorithm, derived(key, salt), vector, { authTagLength: tagBytes })
  cipher.setAAD(covered(keyId))
  const { id, type, contentType } = claims
  const text = Buffer.from(JSON.stringify({ id, type, contentType }))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.byteLength)
  const parts = [cipher.update(Buffer.concat([length, text])), cipher.update(body), cipher.final()]
  return Buffer.concat([Buffer.of(version), salt, vector, ...parts, cipher.getAuthTag()])
}

/** @throws when it is not what `seal` made with this key and id. */
export function unseal(
  key: KeyObject,
  keyId: string,
  sealed: Uint8Array,
): { readonly claims: SealedClaims; readonly body: Uint8Array } {
  if (sealed.byteLength < headBytes + tagBytes) throw new Error(changed(keyId, 'it is too short'))
  if (sealed[0] !== version) {
    const what = `it has version ${sealed[0]} of the encrypted format, and this Waybill reads version ${version}`
    throw new Error(`${what}: it was changed on its way, or a newer Waybill sent it; update, then replay it`)
  }
  const salt = sealed.subarray(1, 1 + saltBytes)
  const vector = sealed.subarray(1 + saltBytes, headBytes)
  const decipher = createDecipheriv(algorithm, derived(key, salt), vector, { authTagLength: tagBytes })
  decipher.setAAD(covered(keyId))
  decipher.setAuthTag(sealed.subarray(sealed.byteLength - tagBytes))
  // Nothing of it is looked at before the tag has been checked.
  const open = decipher.update(sealed.subarray(headBytes, sealed.byteLength - tagBytes))
  try {
    decipher.final()
  } catch (error) {
    throw new Error(changed(keyId, 'its seal is broken'), { cause: error })
  }
  const start = 4 + open.readUInt32BE(0)
  return {
    claims: claimsSchema().parse(JSON.parse(open.subarray(4, start).toString())),
    body: open.subarray(start),
  }
}

function derived(key: KeyObject, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, derivedFor, 32))
}

function covered(keyId: string): Uint8Array {
  return Buffer.concat([Buffer.of(version), Buffer.from(keyId)])
}

function changed(keyId: string, how: string): string {
  const what = `It was changed on its way, or encrypted with another key than the one called "${keyId}" here (${how})`
  return `${what}. If that key is wrong here, set the right one and replay the dead letter; otherwise do not trust it`
}
