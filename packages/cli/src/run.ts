import { CommanderError } from '@commander-js/extra-typings'
import { Cli, type Host } from './cli.ts'
import { addCommands } from './commands/index.ts'
import { type ExitCode, exitCodes } from './failures/exit-codes.ts'
import { explainFailure } from './failures/explain-failure.ts'
import { legible } from './output/legible.ts'

/**
 * Runs the command line `args`, without the program's name, and resolves with the exit code. Never rejects.
 *
 * ```ts
 * const { stdin, stdout, stderr } = process
 * const host = { streams: { stdin, stdout, stderr }, directory: process.cwd(), signal: new AbortController().signal }
 * process.exitCode = await run(['topics', '--url', 'redis://localhost'], host)
 * ```
 */
export async function run(args: readonly string[], host: Host): Promise<ExitCode> {
  const { stdout, stderr } = host.streams
  const cli = new Cli(host)
  cli.program.exitOverride().configureOutput({
    writeOut: (text) => stdout.write(text),
    writeErr: (text) => stderr.write(cli.redactor.redact(onOneLine(text))),
    getOutHasColors: () => stdout.isTTY === true,
    getErrHasColors: () => false,
  })
  addCommands(cli)
  try {
    await cli.program.parseAsync(args, { from: 'user' })
    return cli.exitCode
  } catch (error) {
    // Commander has printed its own: 0 is the code of help and of the version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const { exitCode, message } = explainFailure(error)
    if (message !== undefined) stderr.write(`waybill: ${legible(cli.redactor.redact(message))}\n`)
    return exitCode
  }
}

/** Commander's errors as our own: a suggestion stands in a line of its own there. */
function onOneLine(text: string): string {
  return `${legible(text.replace(/^error: /, 'waybill: ').trimEnd())}\n`
}
