import type { Group } from '@waybill/core'
import type { CommandFile } from '../cli.ts'
import { eachGroup } from '../connection/each-group.ts'
import type { Column } from '../output/table.ts'

const columns: readonly Column<Group>[] = [
  { title: 'topic', text: ({ topic }) => topic.name },
  { title: 'group', text: ({ name }) => name },
]

export const groups: CommandFile = (cli) =>
  cli
    .command('groups', 'Lists the groups of a topic, or of all', ['waybill groups', 'waybill groups orders'])
    .argument('[topic]', 'of this topic only')
    .action((topic) =>
      cli.run(async (session) => {
        const listed = eachGroup(await session.bus(), topic, undefined, await session.definitions())
        await session.output.list(columns, listed, (group) => ({
          topic: group.topic.name,
          group: group.name,
        }))
        return undefined
      }),
    )
