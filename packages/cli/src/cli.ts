import { createRequire } from 'node:module'
import { Command, type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { z } from 'zod'
import { collect, milliseconds } from './arguments.ts'
import { type ExitCode, exitCodes } from './failures/exit-codes.ts'
import { Redactor } from './failures/redact.ts'
import { Output, type Streams } from './output/output.ts'
import { Session } from './session.ts'

const manifestSchema = z.object({ version: z.string() })

// One folder up both from the sources and from the bundle.
const { version } = manifestSchema.parse(createRequire(import.meta.url)('../package.json'))

/** Where a command runs. */
export interface Host {
  readonly streams: Streams
  readonly directory: string
  /** Fires with an `Interruption` or a `CommandFailure` as its reason. */
  readonly signal: AbortSignal
}

/** What a command does. It resolves with an exit code where it is not 0. */
export type Work = (session: Session) => Promise<ExitCode | undefined>

/** A command's file exports one of these; `commands/index.ts` lists them. */
export type CommandFile = (cli: Cli) => CommandUnknownOpts

/** What commands are made with: the options that all of them have, and the way they run. */
export class Cli {
  readonly program = createProgram()
  readonly redactor = new Redactor()
  readonly #host: Host
  /** How the command ended. */
  exitCode: ExitCode = exitCodes.ok

  constructor(host: Host) {
    this.#host = host
  }

  /** A command to be added to the program, or to a group of commands. Examples are written without the program's name. */
  command(name: string, description: string, examples: readonly string[] = []): Command {
    const command = new Command(name).description(description).copyInheritedSettings(this.program)
    if (examples.length > 0) {
      const lines = examples.map((example) => `  $ ${example}`)
      command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
    }
    return command
  }

  /** Runs a command's work in a session that is closed when the work ends, or is interrupted. */
  async run(work: Work): Promise<void> {
    const { streams, directory, signal } = this.#host
    const { json, ...connection } = this.program.opts()
    const output = new Output(streams, this.redactor, json)
    const session = new Session({ streams, output, redactor: this.redactor, connection, directory, signal })
    const interruption = whenAborted(signal)
    try {
      this.exitCode = (await Promise.race([work(session), interruption.promise])) ?? exitCodes.ok
    } finally {
      interruption.forget()
      await session.close(signal.aborted ? '1s' : '5s')
    }
  }
}

function createProgram() {
  return new Command('waybill')
    .description('Looks after the messages of applications that use Waybill, the same on every broker.')
    .addOption(new Option('-u, --url <url>', 'the broker, such as redis://localhost').env('WAYBILL_URL'))
    .option(
      '--native <adapter.option=value>',
      "an option of the broker's adapter; several are allowed",
      collect,
    )
    .addOption(
      new Option('--options <file>', 'a module or JSON file with options of connect()').env(
        'WAYBILL_OPTIONS',
      ),
    )
    .option(
      '-d, --definitions <module>',
      'a module that exports your topics and messages; several are allowed',
      collect,
    )
    .option('--connect-timeout <duration>', 'how long to try to connect (default: 10s)', milliseconds)
    .option('--json', 'results as JSON, one value a line; the default when the output is no terminal')
    .option('--no-json', 'results for people, also when the output is no terminal')
    .version(version, '--version', 'prints the version')
    .helpOption('-h, --help', 'shows this help')
    .helpCommand('help [command]', 'Shows the help of a command')
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
}

function whenAborted(signal: AbortSignal): { readonly promise: Promise<never>; forget(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  // It may fire when nobody waits any more.
  promise.catch(() => {})
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return { promise, forget: () => signal.removeEventListener('abort', onAbort) }
}
