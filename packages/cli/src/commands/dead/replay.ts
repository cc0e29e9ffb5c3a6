import type { DeadLetters } from '@waybill/core'
import type { CommandFile } from '../../cli.ts'
import { treatLetters } from './in-batches.ts'
import { selectionOf, withSelection } from './selection.ts'

export const replay: CommandFile = (cli) =>
  withSelection(
    cli
      .command('replay', 'Sends letters back to the group that failed, and to no other', [
        'waybill dead replay orders billing 0198f2c4-letter',
        'waybill dead replay orders billing --error ECONNREFUSED --newer-than 2h --dry-run',
        'waybill dead replay orders billing --all',
      ])
      .argument('<topic>')
      .argument('<group>')
      .argument('[ids...]', 'ids of letters, not of messages'),
  )
    .option('--dry-run', 'says what would be done, and does nothing')
    .action((topic, group, ids, options) =>
      cli.run((session) => {
        const selection = selectionOf(ids, options)
        const treatment = {
          done: 'replayed',
          doing: 'Replaying',
          treat: async (deadLetters: DeadLetters, batch: readonly string[]) =>
            (await deadLetters.replay(batch)).replayed,
        }
        return treatLetters(session, { topic, group }, selection, treatment, options)
      }),
    )
