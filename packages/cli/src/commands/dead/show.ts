import type { DeadLetter } from '@waybill/core'
import type { CommandFile } from '../../cli.ts'
import { UsageError } from '../../failures/usage-error.ts'
import { countOf, formatTime } from '../../output/format.ts'
import { legible } from '../../output/legible.ts'
import { wholeLetterToJson } from './letter-json.ts'

export const show: CommandFile = (cli) =>
  cli
    .command('show', 'Shows one letter with its message', [
      'waybill dead show orders billing o-1',
      'waybill dead show orders billing o-1 --json | jq .message.data',
    ])
    .argument('<topic>')
    .argument('<group>')
    .argument('<id>', 'of the letter, or of its message')
    .action((topic, group, id) =>
      cli.run(async (session) => {
        const { deadLetters } = await session.group(topic, group)
        const letter = await deadLetters.find(id)
        if (letter === undefined) {
          throw new UsageError(
            `Group ${group} of topic ${topic} has no letter "${id}", and none of a message of that id`,
          )
        }
        await session.output.result(wholeLetterToJson(letter), describe(letter))
        return undefined
      }),
    )

function describe(letter: DeadLetter): string {
  const { id, topic, group, reason, error, attempts, deliveries, firstFailedAt, failedAt, message } = letter
  const lines: readonly (readonly [name: string, value: string])[] = [
    ['letter', id],
    ['topic', topic],
    ['group', group],
    ['reason', reason],
    ['error', error === undefined ? '–' : `${error.name}: ${error.message}`],
    ['attempts', `${attempts}, in ${countOf(deliveries, 'delivery', 'deliveries')}`],
    ['first failed', formatTime(firstFailedAt)],
    ['given up', formatTime(failedAt)],
    ['message', message?.id ?? 'its body cannot be read'],
    ['type', message === undefined ? '–' : `${message.type}, version ${message.version}`],
    ['key', message?.key ?? '–'],
    ['sent', formatTime(message?.timestamp)],
  ]
  const facts = lines.map(([name, value]) => `${name.padEnd(14)}${legible(value)}`)
  return [...facts, '', ...contentOf(letter), ...stackOf(error)].join('\n')
}

function contentOf({ message, body }: DeadLetter): readonly string[] {
  const text =
    message === undefined ? Buffer.from(body).toString() : JSON.stringify(message.data, undefined, 2)
  return (text ?? '').split('\n').map(legible)
}

function stackOf(error: DeadLetter['error']): readonly string[] {
  return error?.stack === undefined ? [] : ['', ...error.stack.split('\n').map(legible)]
}
