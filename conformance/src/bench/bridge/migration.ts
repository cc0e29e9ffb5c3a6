import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Case } from '../../case/case.ts'
import type { EndName, Ends } from './ends.ts'

const program = fileURLToPath(new URL('../../../../examples/checkout/src/migration/main.ts', import.meta.url))

/** Of the orders, at either broker. */
const leastShare = 0.2

/** The checkout changes its broker while it is open: processes of its own, and books that have to add up. */
export function migrationCase(
  ends: Ends,
  from: EndName,
  to: EndName,
  first: 'consumers' | 'producers',
  part: string,
): Case {
  return {
    number: 225,
    part,
    title: `The checkout moves from ${from} to ${to} under load, ${first} first: nothing is lost, and nothing done twice`,
    timeoutMs: 600_000,
    async run(context) {
      const args = ['--from', ends[from].url, '--to', ends[to].url, '--first', first]
      const child = spawn(process.execPath, [...process.execArgv, program, ...args])
      context.defer(() => child.kill('SIGTERM'))
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      const code = await new Promise((resolve) => child.on('exit', resolve))
      assert.equal(code, 0, output)
      const [, all, old, young] =
        /(\d+) orders: (\d+) charged by the old services, (\d+) by the new/.exec(output)?.map(Number) ?? []
      for (const charged of [old, young])
        assert.ok((charged ?? 0) > leastShare * (all ?? 0), `one side has done nearly nothing:\n${output}`)
      console.log(output.trim().split('\n').slice(-2).join(' ').replace(/^/, `  ${first} first: `))
    },
  }
}
