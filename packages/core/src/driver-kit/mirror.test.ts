import { expect, test } from 'vitest'
import { mirroredNames } from './mirror.ts'

const attributes = { time: 't', id: 'i', type: 'a', source: 's', specversion: '1.0', tenant: 'x' }

test.each([
  ['none', 'application/cloudevents+json', []],
  ['required', 'application/cloudevents+json', ['specversion', 'id', 'source', 'type']],
  ['all', 'application/cloudevents+json', ['specversion', 'id', 'source', 'type', 'time', 'tenant']],
  ['none', 'application/json', ['specversion', 'id', 'source', 'type', 'time', 'tenant']],
  ['required', 'application/octet-stream', ['specversion', 'id', 'source', 'type', 'time', 'tenant']],
] as const)('%s of a body of %s', (mirror, contentType, names) => {
  expect(mirroredNames({ attributes, contentType }, mirror)).toEqual(names)
})
