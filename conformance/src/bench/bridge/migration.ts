import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Case } from '../../case/case.ts'
import type { EndName, Ends } from './ends.ts'

const checkout = new URL('../../../../examples/checkout/', import.meta.url)
const program = fileURLToPath(new URL('src/migration/main.ts', checkout))
const orders = new URL('orders.ndjson', checkout)

/** Of the customers: enough for the shop to be busy all the time. */
const served = 500

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
      const folder = await mkdtemp(join(tmpdir(), 'waybill-orders-'))
      context.defer(() => rm(folder, { recursive: true }))
      const lines = (await readFile(orders, 'utf8')).split('\n').slice(0, served)
      const file = join(folder, 'orders.ndjson')
      await writeFile(file, lines.join('\n'))
      const args = ['--from', ends[from].url, '--to', ends[to].url, '--first', first, '--orders', file]
      const child = spawn(process.execPath, [...process.execArgv, program, ...args])
      context.defer(() => child.kill('SIGTERM'))
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      const code = await new Promise((resolve) => child.on('exit', resolve))
      assert.equal(code, 0, output)
      console.log(output.trim().split('\n').slice(-2).join(' ').replace(/^/, `  ${first} first: `))
    },
  }
}
