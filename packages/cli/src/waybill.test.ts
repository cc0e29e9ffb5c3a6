import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('./waybill.ts', import.meta.url))

test.skipIf(!existsSync('/dev/full'))('a full output (/dev/full) is told in one sentence', async () => {
  const full = openSync('/dev/full', 'w')
  const args = ['--conditions=@waybill/source', program, 'doctor', '--no-round-trip', '--url', 'memory:']
  const child = spawn(process.execPath, args, { stdio: ['ignore', full, 'pipe'] })
  closeSync(full)
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const [code] = await once(child, 'close')
  expect(said).toMatch(/^waybill: The output cannot be written: ENOSPC: [^\n]*\n$/)
  expect(code).toBe(1)
})
