import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandFailure } from '../../failures/command-failure.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { UsageError } from '../../failures/usage-error.ts'
import type { Session } from '../../session.ts'

/**
 * Lets the user change a text in their editor, and resolves with what is made of it. What they wrote is kept when that fails.
 *
 * @throws {UsageError} where there is no terminal or no editor.
 * @throws {CommandFailure} when the editor failed, or the text is the same as before.
 */
export async function editText<Result>(
  { streams, signal, output }: Session,
  text: string,
  use: (edited: string) => Promise<Result>,
): Promise<Result> {
  const editor = process.env.VISUAL || process.env.EDITOR
  if (streams.stdin.isTTY !== true || editor === undefined || editor === '') {
    throw new UsageError(
      'Say what to change with --data, --set or --body-file, or set EDITOR and use a terminal',
    )
  }
  const folder = await mkdtemp(join(tmpdir(), 'waybill-'))
  const file = join(folder, 'data.json')
  let isKept = false
  try {
    await writeFile(file, `${text}\n`, { mode: 0o600 })
    // EDITOR may hold arguments, as in `code --wait`.
    const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit', signal })
    const [code] = await once(child, 'exit')
    if (code !== 0)
      throw new CommandFailure(exitCodes.failed, `The editor ended with ${code}; nothing was changed`)
    const edited = await readFile(file, 'utf8')
    if (edited.trim() === text.trim()) {
      throw new CommandFailure(exitCodes.failed, 'The text is the same as before; nothing was changed')
    }
    isKept = true
    const result = await use(edited)
    isKept = false
    return result
  } finally {
    if (isKept) output.note(`waybill: what you wrote is kept in ${file}`)
    else await rm(folder, { recursive: true, force: true })
  }
}
