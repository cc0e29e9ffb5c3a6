import type { Topic } from '@waybill/core'
import type { CommandFile } from '../cli.ts'
import type { Column } from '../output/table.ts'

const columns: readonly Column<Topic>[] = [
  { title: 'topic', text: ({ name }) => name },
  { title: 'ordered', text: ({ ordered, partitions }) => (ordered ? `yes, ${partitions} partitions` : 'no') },
]

export const topics: CommandFile = (cli) =>
  cli
    .command('topics', 'Lists the topics at the broker', [
      'waybill topics --url redis://localhost',
      'waybill topics --json | jq -r .topic',
    ])
    .action(() =>
      cli.run(async (session) => {
        const found = await (await session.bus()).administration.listTopics()
        const listed = found.toSorted((one, other) => (one.name < other.name ? -1 : 1))
        await session.output.list(columns, listed, ({ name, ordered, partitions }) => ({
          topic: name,
          ordered,
          partitions: ordered ? partitions : null,
        }))
        return undefined
      }),
    )
