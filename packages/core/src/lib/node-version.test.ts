import { expect, test } from 'vitest'
import { requireNode } from './node-version.ts'

test('an old Node is told so in one sentence', () => {
  expect(() => requireNode('20.19.5')).toThrow(/^Waybill needs Node 22 or newer, and this is Node 20\.19\.5$/)
  expect(() => requireNode('22.0.0')).not.toThrow()
  expect(() => requireNode('100.1.0')).not.toThrow()
})
