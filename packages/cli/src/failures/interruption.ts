import { type ExitCode, exitCodes } from './exit-codes.ts'

/** Why a command ends before it is done, though nothing failed. */
export class Interruption extends Error {
  override readonly name = 'Interruption'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode) {
    super('The command was interrupted')
    this.exitCode = exitCode
  }

  static ofSignal(signal: NodeJS.Signals): Interruption {
    return new Interruption(signal === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted)
  }

  /** The reader of the standard output has seen enough, as `head` does: that is no failure. */
  static ofBrokenPipe(): Interruption {
    return new Interruption(exitCodes.ok)
  }
}
