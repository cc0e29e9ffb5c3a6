import { readFile } from 'node:fs/promises'
import type { DeadLetter, LetterChange } from '@waybill/core'
import { collect } from '../../arguments.ts'
import type { CommandFile } from '../../cli.ts'
import { CommandFailure } from '../../failures/command-failure.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { UsageError } from '../../failures/usage-error.ts'
import type { Session } from '../../session.ts'
import { editText } from './edit-text.ts'
import { withFields } from './with-fields.ts'

export const editAndReplay: CommandFile = (cli) =>
  cli
    .command('edit-and-replay', 'Sends one letter back to its group with other data', [
      'waybill dead edit-and-replay orders billing o-1                                    # in $EDITOR',
      'waybill dead edit-and-replay orders billing o-1 --set currency=\'"EUR"\' --set total=42',
      `waybill dead edit-and-replay orders billing o-1 --data '{"orderId":"o-1","total":42}' -d ./messages.ts`,
    ])
    .argument('<topic>')
    .argument('<group>')
    .argument('<id>', 'of the letter, or of its message')
    .option('--data <json>', 'the data that the message gets instead')
    .option(
      '--set <field=json>',
      'one field of the data, such as customer.name="Ann"; several are allowed',
      collect,
    )
    .option('--body-file <file>', 'the body as it is to travel, for letters that cannot be read')
    .option('--content-type <type>', 'of --body-file')
    .option('--dry-run', 'shows the data that would be sent, and does nothing')
    .addHelpText(
      'after',
      `
The message keeps its id, and its attempts start again at 1. With --definitions the data is checked by your schema; what does not
fit is refused, and nothing changes.`,
    )
    .action((topic, group, id, options) =>
      cli.run(async (session) => {
        requireOneWay(options)
        const { deadLetters } = await session.group(topic, group)
        const letter = await deadLetters.find(id)
        if (letter === undefined) {
          throw new UsageError(
            `Group ${group} of topic ${topic} has no letter "${id}", and none of a message of that id`,
          )
        }
        await withChange(session, letter, options, async (change) => {
          const result = { topic, group, id: letter.id, messageId: letter.message?.id ?? null }
          if (options.dryRun === true) {
            const shown = 'data' in change ? { data: change.data } : { bytes: change.body.length }
            const text = `Letter ${letter.id} would be replayed with ${JSON.stringify(shown)}`
            return session.output.result({ ...result, dryRun: true, ...shown }, text)
          }
          const { replayed } = await deadLetters.replayEdited(letter.id, change)
          if (replayed === 0) {
            throw new CommandFailure(
              exitCodes.failed,
              `Letter ${letter.id} is gone: somebody else replayed or discarded it`,
            )
          }
          const text = `Letter ${letter.id} was replayed with the change.`
          return session.output.result({ ...result, dryRun: false }, text)
        })
        return undefined
      }),
    )

interface Options {
  readonly data?: string | undefined
  readonly set?: readonly string[] | undefined
  readonly bodyFile?: string | undefined
  readonly contentType?: string | undefined
}

/** @throws {UsageError} */
function requireOneWay({ data, set, bodyFile, contentType }: Options): void {
  if ([data, set, bodyFile].filter((each) => each !== undefined).length > 1) {
    throw new UsageError('Change the letter in one way: --data, --set or --body-file')
  }
  if (contentType !== undefined && bodyFile === undefined)
    throw new UsageError('--content-type belongs to --body-file')
}

/** Does something with the change that the options say, or that the user makes in their editor. */
async function withChange(
  session: Session,
  letter: DeadLetter,
  options: Options,
  use: (change: LetterChange) => Promise<void>,
): Promise<void> {
  const { data, set, bodyFile, contentType } = options
  if (bodyFile !== undefined) {
    return use({ body: await read(bodyFile), ...(contentType !== undefined && { contentType }) })
  }
  const definitions = (await session.definitions())?.messages ?? []
  if (data !== undefined) return use({ data: parse(data, '--data'), definitions })
  if (letter.message === undefined) {
    throw new UsageError(`The body of letter ${letter.id} cannot be read; give another with --body-file`)
  }
  const { data: before } = letter.message
  if (set !== undefined) return use({ data: withFields(before, set), definitions })
  return editText(session, JSON.stringify(before, undefined, 2), (edited) =>
    use({ data: parse(edited, 'What you wrote'), definitions }),
  )
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch {
    throw new UsageError(`The file ${file} cannot be read`)
  }
}

function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${error instanceof Error ? error.message : error}`)
  }
}
