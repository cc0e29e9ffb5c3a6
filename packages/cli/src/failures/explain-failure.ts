import { ConfigurationError, type ErrorCode, InvalidMessageError, MessagingError } from '@waybill/core'
import { CommandFailure } from './command-failure.ts'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { Interruption } from './interruption.ts'
import { UsageError } from './usage-error.ts'

export interface Explanation {
  readonly exitCode: ExitCode
  /** One sentence; undefined when there is nothing to say. */
  readonly message: string | undefined
}

const ofCode: Partial<Readonly<Record<ErrorCode, ExitCode>>> = {
  'invalid-options': exitCodes.usage,
  'topology-missing': exitCodes.usage,
  'topology-mismatch': exitCodes.usage,
  'adapter-missing': exitCodes.unreachable,
  'adapter-mismatch': exitCodes.unreachable,
  'connection-failed': exitCodes.unreachable,
  disconnected: exitCodes.unreachable,
  'access-denied': exitCodes.denied,
  unsupported: exitCodes.unsupported,
  timeout: exitCodes.timeout,
}

/** Whatever a command threw, as a sentence and an exit code. */
export function explainFailure(thrown: unknown): Explanation {
  if (thrown instanceof Interruption) return { exitCode: thrown.exitCode, message: undefined }
  if (thrown instanceof CommandFailure) return { exitCode: thrown.exitCode, message: thrown.message }
  if (thrown instanceof UsageError) return { exitCode: exitCodes.usage, message: thrown.message }
  if (MessagingError.is(thrown)) {
    return { exitCode: ofCode[thrown.code] ?? exitCodes.failed, message: sentenceOf(thrown) }
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return { exitCode: exitCodes.failed, message: onOneLine(message) }
}

/** An error's message on one line; of one that lists issues, all of them. */
export function sentenceOf(error: Error): string {
  if (error instanceof ConfigurationError || error instanceof InvalidMessageError) {
    const issues = error.issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    const [head = ''] = error.message.split(/[;:]?\n/)
    return `${head.replace(/:$/, '')}: ${onOneLine(issues.join('; '))}`
  }
  return onOneLine(error.message)
}

function onOneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*(?:- )?/g, ' ').trim()
}
