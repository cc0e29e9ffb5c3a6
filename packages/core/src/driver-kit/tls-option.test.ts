import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { tlsOption } from './tls-option.ts'

const secure = tlsOption({ isSecure: true, secureScheme: 'amqps', byOption: false })
const plain = tlsOption({ isSecure: false, secureScheme: 'amqps', byOption: false })
const optional = tlsOption({ isSecure: false, secureScheme: 'kafka+ssl', byOption: true })
const pem = '-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n'

const folder = mkdtempSync(join(tmpdir(), 'waybill-tls-'))
const file = join(folder, 'ca.pem')
writeFileSync(file, pem)
afterAll(() => rmSync(folder, { recursive: true }))

test('the scheme alone decides when nothing is said', () => {
  expect(secure.parse(undefined)).toEqual({})
  expect(secure.parse(true)).toEqual({})
  expect(plain.parse(undefined)).toBeUndefined()
  expect(plain.parse(false)).toBeUndefined()
})

test('what the scheme asks for is never switched off', () => {
  expect(secure.safeParse(false).error?.issues[0]?.message).toContain('amqps: asks for TLS')
})

test('TLS options without TLS are refused, unless they turn it on', () => {
  for (const value of [true, {}, { servername: 'broker' }]) {
    expect(plain.safeParse(value).error?.issues[0]?.message).toContain('write amqps:')
  }
  expect(optional.parse(true)).toEqual({})
  expect(optional.parse({ servername: 'broker' })).toEqual({ servername: 'broker' })
  expect(optional.parse(false)).toBeUndefined()
})

test('certificates are PEM text, bytes or files', () => {
  const bytes = new TextEncoder().encode(pem)
  expect(secure.parse({ ca: [pem, bytes, file] })).toEqual({ ca: [pem, Buffer.from(pem), Buffer.from(pem)] })
  expect(secure.parse({ pfx: bytes, passphrase: 'x', minVersion: 'TLSv1.3' })).toEqual({
    pfx: Buffer.from(pem),
    passphrase: 'x',
    minVersion: 'TLSv1.3',
  })
})

test('a file that cannot be read is told without repeating what was given', () => {
  const result = secure.safeParse({ key: 'MIIsecret', cert: pem })
  expect(result.error?.issues[0]?.path).toEqual(['key'])
  expect(result.error?.issues[0]?.message).toContain('ENOENT')
  expect(JSON.stringify(result.error?.issues)).not.toContain('MIIsecret')
})

test('a certificate and its key belong together', () => {
  expect(secure.safeParse({ cert: pem }).success).toBe(false)
  expect(secure.safeParse({ cert: pem, key: pem, pfx: file }).success).toBe(false)
  expect(secure.safeParse({ cert: pem, key: pem }).success).toBe(true)
})

test('unknown members are refused by name', () => {
  expect(secure.safeParse({ caa: pem }).error?.issues[0]?.message).toContain('caa')
})
