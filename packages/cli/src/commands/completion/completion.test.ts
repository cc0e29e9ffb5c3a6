import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { Cli } from '../../cli.ts'
import { addCommands } from '../index.ts'
import { candidatesFor } from './candidates.ts'
import { scripts } from './scripts.ts'

const { stdin, stdout, stderr } = process
const cli = new Cli({
  streams: { stdin, stdout, stderr },
  directory: '.',
  signal: new AbortController().signal,
})
addCommands(cli)

test.each([
  ['de', ['dead']],
  ['dead re', ['replay']],
  ['dead edit', ['edit-and-replay']],
  ['stats --wa', ['--watch']],
  ['stats --ur', ['--url']],
  ['--js', ['--json']],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['-u redis://localhost do', ['doctor']],
  ['--url=redis://localhost do', ['doctor']],
  // As bash divides it.
  ['-u redis : //localhost do', ['doctor']],
  ['stats --watch --js', ['--json']],
  ['comp', ['completion']],
])('after %s may come %j', (typed, expected) => {
  const candidates = candidatesFor(cli.program, typed.split(' '))
  expect(candidates.map(({ value }) => value)).toEqual(expected)
})

test.each([
  'send orders ./ord',
  'stats ',
  '-d ./mes',
  'dead import orders billing ',
  'seek orders billing --to ',
])('after %s anything may come, such as the name of a file', (typed) =>
  expect(candidatesFor(cli.program, typed.split(' '))).toEqual([]),
)

test('bash, of any age and without its package of completions, completes and runs nothing that is typed', () => {
  const waybill = `waybill() { shift 2; printf '%s|' "$@" > /dev/stderr; printf 'one\\tThe first\\ntwo\\t\\n'; }`
  const words = `'waybill' 'send' '--data' '$(exit 1)' 't'`
  const typed = `COMP_WORDS=(${words}); COMP_CWORD=4; _waybill waybill t '$(exit 1)'; printf '%s;' "\${COMPREPLY[@]}"`
  const bash = `set -e; ${waybill}\n${scripts.bash}\n${scripts.bash}\n${typed}`
  expect(execFileSync('bash', ['--norc', '-c', bash], { stdio: 'pipe' }).toString()).toBe('one;two;')
})
