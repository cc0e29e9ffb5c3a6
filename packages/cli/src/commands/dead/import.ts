import type { CommandFile } from '../../cli.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { sentenceOf } from '../../failures/explain-failure.ts'
import { countOf } from '../../output/format.ts'
import type { Session } from '../../session.ts'
import { inputLines } from '../input.ts'
import { LineFailures } from '../line-failures.ts'

export const importLetters: CommandFile = (cli) =>
  cli
    .command('import', 'Adds letters that were exported to the dead letters of a group', [
      'waybill dead import orders billing letters.ndjson',
      'waybill dead export orders billing --all -u amqp://old | waybill dead import orders billing -u kafka://new',
    ])
    .argument('<topic>')
    .argument('<group>')
    .argument('[file]', 'lines of JSON; the standard input if there is no file')
    .addHelpText(
      'after',
      '\nA letter whose id is there already is left as it is, so an import that was interrupted can simply be repeated.',
    )
    .action((topic, group, file) =>
      cli.run(async (session) => {
        const { deadLetters } = await session.group(topic, group)
        const failures = new LineFailures(session.output)
        const progress = session.progress('Importing')
        /** Of each letter that core was given, its line. */
        const lines: number[] = []
        const read = async function* () {
          for await (const { number, text } of inputLines(session, file)) {
            progress.add()
            const letter = parse(text)
            if (letter.error === undefined) {
              lines.push(number)
              yield letter.value
            } else await failures.tell({ line: number, error: letter.error, code: 'invalid-options' })
          }
        }
        const report = await deadLetters.import(read()).finally(() => progress.end())
        for (const { index, error } of report.refused) {
          await failures.tell({ line: lines[index] ?? 0, error: sentenceOf(error), code: error.code })
        }
        await tellResult(session, report.imported, report.alreadyThere, failures)
        return failures.count === 0 ? undefined : exitCodes.failed
      }),
    )

async function tellResult(
  { output }: Session,
  imported: number,
  alreadyThere: number,
  failures: LineFailures,
): Promise<void> {
  const there = alreadyThere === 0 ? '' : `; ${alreadyThere} were there already`
  const text = `${countOf(imported, 'letter')} ${imported === 1 ? 'was' : 'were'} imported${there}${failures.summary}.`
  await output.result({ imported, alreadyThere, failed: failures.count }, text)
}

function parse(
  text: string,
): { readonly value: unknown; readonly error?: undefined } | { readonly error: string } {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    return { error: `It is no JSON: ${error instanceof Error ? error.message : error}` }
  }
}
