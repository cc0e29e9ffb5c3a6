import assert from 'node:assert/strict'
import type { Finished } from './waybill.ts'

/** Fails with all that the command printed. */
export function expectCode({ code, stdout, stderr }: Finished, expected: number): void {
  assert.equal(code, expected, `exit code ${code}\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`)
}

/** A command that is refused: its exit code, one sentence, and nothing on the standard output. */
export function expectRefusal(finished: Finished, code: number, sentence: RegExp): void {
  expectCode(finished, code)
  assert.equal(finished.stdout, '')
  assert.match(finished.stderr, sentence)
  assert.equal(finished.stderr.trim().split('\n').length, 1, `more than one line:\n${finished.stderr}`)
}
