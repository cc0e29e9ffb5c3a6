import type { CommandFile } from '../../cli.ts'
import { exitCodes } from '../../failures/exit-codes.ts'
import { columns, type PlannedTopic, planTopics, toJson, topicsOf } from './plan-topics.ts'

export const plan: CommandFile = (cli) =>
  cli
    .command('plan', 'Compares the topics of your definitions with the broker; changes nothing', [
      'waybill plan --definitions ./messages.ts',
      'waybill plan --definitions ./messages.ts --json && echo nothing to do',
    ])
    .addHelpText('after', '\nThe exit code is 1 if something is missing or differs.')
    .action(() =>
      cli.run(async (session) => {
        const definitions = await session.requiredDefinitions()
        const bus = await session.bus()
        const planned: PlannedTopic[] = []
        const options = { create: false, signal: session.signal }
        for await (const topic of planTopics(bus, topicsOf(definitions), options)) planned.push(topic)
        await session.output.list(columns, planned, toJson)
        return planned.every(({ status }) => status === 'exists') ? undefined : exitCodes.failed
      }),
    )
