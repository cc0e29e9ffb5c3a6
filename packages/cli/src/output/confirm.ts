import { createInterface } from 'node:readline/promises'
import { CommandFailure } from '../failures/command-failure.ts'
import { exitCodes } from '../failures/exit-codes.ts'
import { UsageError } from '../failures/usage-error.ts'
import type { Streams } from './output.ts'

/**
 * Asks before something is done that cannot be undone; returns when the answer is yes.
 *
 * @throws {UsageError} where there is nobody to ask.
 * @throws {CommandFailure} when the answer is no.
 */
export async function confirm(
  { stdin, stderr }: Streams,
  question: string,
  options: { readonly yes: boolean | undefined; readonly signal: AbortSignal },
): Promise<void> {
  if (options.yes === true) return
  if (stdin.isTTY !== true || stderr.isTTY !== true) {
    throw new UsageError(`${question} There is no terminal to ask on; add --yes to do it without being asked`)
  }
  const terminal = createInterface({ input: stdin, output: stderr })
  // Ctrl-C comes to the line editor while it reads, and has to end the command all the same.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: options.signal })
    if (!/^y(es)?$/i.test(answer.trim())) {
      throw new CommandFailure(exitCodes.failed, 'Nothing was changed')
    }
  } finally {
    terminal.close()
  }
}
