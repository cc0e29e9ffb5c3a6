import type { DeadLetter } from '@waybill/core'
import { positive } from '../../arguments.ts'
import type { CommandFile } from '../../cli.ts'
import { eachGroup } from '../../connection/each-group.ts'
import { formatTime } from '../../output/format.ts'
import type { Column } from '../../output/table.ts'
import type { Session } from '../../session.ts'
import { letterToJson } from './letter-json.ts'
import { type FilterOptions, filterOf, withFilter } from './selection.ts'

const columns: readonly Column<DeadLetter>[] = [
  { title: 'topic', text: ({ topic }) => topic },
  { title: 'group', text: ({ group }) => group },
  { title: 'letter', text: ({ id }) => id },
  { title: 'type', text: ({ message }) => message?.type ?? '–' },
  { title: 'reason', text: ({ reason }) => reason },
  { title: 'attempts', align: 'right', text: ({ attempts }) => String(attempts) },
  { title: 'given up', text: ({ failedAt }) => formatTime(failedAt) },
  { title: 'error', text: ({ error }) => (error === undefined ? '–' : `${error.name}: ${error.message}`) },
]

export const list: CommandFile = (cli) =>
  withFilter(
    cli
      .command('list', 'Lists letters, oldest first; consumes nothing', [
        'waybill dead list',
        "waybill dead list orders billing --type 'order.#' --newer-than 1d",
        'waybill dead list orders billing --json | jq -r .error.name | sort | uniq -c',
      ])
      .argument('[topic]', 'of this topic only')
      .argument('[group]', 'of this group only')
      .option('-n, --limit <number>', 'so many at most', positive),
  ).action((topic, group, options) =>
    cli.run(async (session) => {
      const count = await session.output.list(
        columns,
        lettersOf(session, topic, group, options),
        letterToJson,
      )
      if (count === 0 && !session.output.isJson) session.output.note('There are no such letters.')
      return undefined
    }),
  )

async function* lettersOf(
  session: Session,
  topic: string | undefined,
  group: string | undefined,
  { limit = Number.POSITIVE_INFINITY, ...options }: FilterOptions & { readonly limit?: number | undefined },
): AsyncGenerator<DeadLetter, undefined> {
  let count = 0
  for await (const each of eachGroup(await session.bus(), topic, group, await session.definitions())) {
    for await (const letter of each.deadLetters.list(filterOf(options))) {
      session.signal.throwIfAborted()
      yield letter
      count += 1
      if (count === limit) return undefined
    }
  }
  return undefined
}
