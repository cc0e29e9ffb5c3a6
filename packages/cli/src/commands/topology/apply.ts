import type { CommandFile } from '../../cli.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { columns, type PlannedTopic, planTopics, toJson, topicsOf } from './plan-topics.ts'

export const apply: CommandFile = (cli) =>
  cli
    .command(
      'apply',
      'Makes the topics and groups of your definitions that are missing; changes and deletes nothing',
      ['waybill apply --definitions ./messages.ts'],
    )
    .addHelpText(
      'after',
      '\nWhat exists with other settings stays as it is; the exit code is 1 then, and the other topics are made all the same.',
    )
    .action(() =>
      cli.run(async (session) => {
        const definitions = await session.requiredDefinitions()
        const bus = await session.bus({ provision: 'create' })
        const applied: PlannedTopic[] = []
        const options = { create: true, signal: session.signal }
        for await (const topic of planTopics(bus, topicsOf(definitions), options)) applied.push(topic)
        await session.output.list(columns, applied, toJson)
        return applied.some(({ status }) => status === 'differs') ? exitCodes.failed : undefined
      }),
    )
