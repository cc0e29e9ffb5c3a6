import { createReadStream } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { UsageError } from '../failures/usage-error.ts'
import type { Session } from '../session.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
}

/**
 * The lines of a file, or of the standard input where it is `-` or not given; empty ones are left out.
 *
 * @throws {UsageError} when the file cannot be read, or the standard input is a terminal and nobody asked for it.
 */
export async function* inputLines(
  session: Session,
  file: string | undefined,
): AsyncGenerator<Line, undefined> {
  const { stdin } = session.streams
  const isStdin = file === undefined || file === '-'
  if (file === undefined && stdin.isTTY === true) {
    throw new UsageError('Nothing to read: name a file, or pipe lines of JSON to the command')
  }
  if (!isStdin) await requireReadable(file)
  const input = isStdin ? stdin : createReadStream(file)
  let number = 0
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1
    session.signal.throwIfAborted()
    if (text.trim() !== '') yield { number, text }
  }
  return undefined
}

async function requireReadable(file: string): Promise<void> {
  const isReadable = await access(file, constants.R_OK).then(
    async () => !(await stat(file)).isDirectory(),
    () => false,
  )
  if (!isReadable) throw new UsageError(`The file ${file} cannot be read`)
}
