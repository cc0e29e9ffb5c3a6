import type { ExitCode } from './exit-codes.ts'

/** A command that ends with a sentence and an exit code of its own. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
