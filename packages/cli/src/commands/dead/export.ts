import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ExportedDeadLetter, Group } from '@waybill/core'
import type { CommandFile } from '../../cli.ts'
import { type ExitCode, exitCodes } from '../../failures/exit-codes.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { countOf } from '../../output/format.ts'
import type { Session } from '../../session.ts'
import { type Selection, type SelectionOptions, selectionOf, withSelection } from './selection.ts'

export const exportLetters: CommandFile = (cli) =>
  withSelection(
    cli
      .command('export', 'Writes letters as lines of JSON, whole; they stay where they are', [
        'waybill dead export orders billing --all --output letters.ndjson',
        'waybill dead export orders billing --reason invalid-data > invalid.ndjson',
      ])
      .argument('<topic>')
      .argument('<group>')
      .argument('[ids...]', 'ids of letters, not of messages')
      .option('-o, --output <file>', 'a new file, instead of the standard output'),
  ).action((topic, group, ids, options) =>
    cli.run(async (session) => {
      const selection = selectionOf(ids, options)
      return run(session, await session.group(topic, group), selection, options)
    }),
  )

async function run(
  session: Session,
  group: Group,
  selection: Selection,
  { output }: SelectionOptions & { readonly output?: string | undefined },
): Promise<ExitCode | undefined> {
  const file = output === undefined ? undefined : await openNew(resolve(session.directory, output), output)
  // Whole lines, also on a disk that is nearly full.
  const write = (letter: ExportedDeadLetter) =>
    file === undefined ? session.output.json(letter) : file.appendFile(`${JSON.stringify(letter)}\n`)
  const progress = session.progress('Exporting', file && (await group.deadLetters.count()))
  const missing = new Set(selection.by === 'ids' ? selection.ids : [])
  let count = 0
  let isOver = false
  try {
    for await (const letter of chosen(group, selection)) {
      session.signal.throwIfAborted()
      await write(letter)
      missing.delete(letter.id)
      count += 1
      progress.add()
    }
    isOver = true
  } finally {
    progress.end()
    if (!isOver) session.output.note(`waybill: ${exported(count)}; ${output ?? 'the output'} is incomplete.`)
    await file?.close()
  }
  const gone = missing.size === 0 ? '' : ` There is no letter ${[...missing].join(', ')}.`
  session.output.note(`${exported(count)}.${gone}`)
  return missing.size === 0 ? undefined : exitCodes.failed
}

function exported(count: number): string {
  return `${countOf(count, 'letter')} ${count === 1 ? 'was' : 'were'} exported`
}

async function* chosen(
  { deadLetters }: Group,
  selection: Selection,
): AsyncGenerator<ExportedDeadLetter, undefined> {
  const ids = selection.by === 'ids' ? new Set(selection.ids) : undefined
  for await (const letter of deadLetters.export(selection.by === 'filter' ? selection.filter : {})) {
    if (ids === undefined || ids.delete(letter.id)) yield letter
    if (ids?.size === 0) return undefined
  }
  return undefined
}

async function openNew(path: string, name: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx')
  } catch (error) {
    const doesExist = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    throw new UsageError(
      doesExist
        ? `The file ${name} exists already; name another one`
        : `The file ${name} cannot be written: ${error instanceof Error ? error.message : error}`,
    )
  }
}
