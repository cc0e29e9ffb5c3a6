import type { DeadLetters } from '@waybill/core'
import type { CommandFile } from '../../cli.ts'
import { treatLetters } from './in-batches.ts'
import { selectionOf, withSelection } from './selection.ts'

export const discard: CommandFile = (cli) =>
  withSelection(
    cli
      .command('discard', 'Removes letters for good', [
        'waybill dead discard orders billing --reason invalid-data --older-than 30d --dry-run',
        'waybill dead discard orders billing --all --yes',
      ])
      .argument('<topic>')
      .argument('<group>')
      .argument('[ids...]', 'ids of letters, not of messages'),
  )
    .option('--dry-run', 'says what would be done, and does nothing')
    .option('-y, --yes', 'does not ask')
    .action((topic, group, ids, options) =>
      cli.run((session) => {
        const selection = selectionOf(ids, options)
        const treatment = {
          done: 'discarded',
          doing: 'Discarding',
          question: (letters: string) => `Discard ${letters} of group ${group} on topic ${topic} for good?`,
          treat: async (deadLetters: DeadLetters, batch: readonly string[]) =>
            (await deadLetters.discard(batch)).discarded,
        }
        return treatLetters(session, { topic, group }, selection, treatment, options)
      }),
    )
