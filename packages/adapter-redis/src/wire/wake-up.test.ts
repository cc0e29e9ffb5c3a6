import { expect, it } from 'vitest'
import { parseWakeUp } from './wake-up.ts'

it('tells what happened, and takes what it does not know for a reason to look', () => {
  expect(parseWakeUp('3')).toEqual({ kind: 'lines', lines: [3] })
  expect(parseWakeUp('3,11')).toEqual({ kind: 'lines', lines: [3, 11] })
  expect(parseWakeUp('due 250')).toEqual({ kind: 'due', inMs: 250 })
  expect(parseWakeUp('members')).toEqual({ kind: 'members' })
  expect(parseWakeUp('something new')).toEqual({ kind: 'members' })
})
