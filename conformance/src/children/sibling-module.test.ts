import { expect, test } from 'vitest'
import { siblingModule } from './sibling-module.ts'

test('a sibling has the extension of the module that asks', () => {
  expect(siblingModule('file:///package/src/cli.ts', 'harnesses/memory')).toBe(
    'file:///package/src/harnesses/memory.ts',
  )
  expect(siblingModule('file:///package/dist/cli.js', 'harnesses/memory')).toBe(
    'file:///package/dist/harnesses/memory.js',
  )
})
