import { describe, expect, it } from 'vitest'
import { isAboutTheImage, registryOf } from './pull-image.ts'

describe('registryOf', () => {
  it('tells a registry from an organisation', () => {
    expect(registryOf('redis:8')).toBe('default')
    expect(registryOf('apache/kafka:4.1.0')).toBe('default')
    expect(registryOf('registry.example:5000/team/kafka:4')).toBe('registry.example:5000')
    expect(registryOf('localhost/redis')).toBe('localhost')
  })
})

describe('isAboutTheImage', () => {
  it('tells a missing image from a registry that cannot be reached', () => {
    expect(isAboutTheImage('manifest for redis:99 not found: manifest unknown')).toBe(true)
    expect(isAboutTheImage('pull access denied for nobody/nothing')).toBe(true)
    expect(isAboutTheImage('dial tcp: lookup registry.example: no such host')).toBe(false)
    expect(isAboutTheImage('docker pull redis:8: no answer within 20000 ms')).toBe(false)
  })
})
