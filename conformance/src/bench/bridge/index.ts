import type { Section } from '../../case/case.ts'
import { backlogCase } from './backlog.ts'
import { refusalCase, ringCase, sourceAway, targetAway } from './cases.ts'
import { commandEnds, commandRefusals } from './command-cases.ts'
import type { Ends } from './ends.ts'
import { bridgeKills, commandKills } from './kills.ts'
import { migrationCase } from './migration.ts'

export function bridgeSections(ends: Ends): readonly Section[] {
  return [
    {
      title: 'Bridges that are killed',
      cases: [
        bridgeKills(ends, 'redis', 'kafka', 'a'),
        bridgeKills(ends, 'kafka', 'rabbitmq', 'b'),
        bridgeKills(ends, 'rabbitmq', 'sqs', 'c'),
        bridgeKills(ends, 'sqs', 'redis', 'd'),
      ],
    },
    {
      title: 'The command',
      cases: [
        commandKills(ends, 'redis', 'kafka', 'a'),
        commandKills(ends, 'rabbitmq', 'redis', 'b'),
        commandEnds(ends, 'redis', 'kafka'),
        commandRefusals(ends, 'redis', 'kafka'),
      ],
    },
    {
      title: 'Brokers that are away, messages that come back or are refused',
      cases: [
        targetAway(ends, 'redis', 'rabbitmq'),
        sourceAway(ends, 'rabbitmq', 'redis'),
        ringCase(ends, 'redis', 'kafka'),
        refusalCase(ends, 'redis', 'sqs'),
        backlogCase(ends, 'redis', 'kafka', 'a'),
        backlogCase(ends, 'kafka', 'rabbitmq', 'b'),
        backlogCase(ends, 'rabbitmq', 'sqs', 'c'),
        backlogCase(ends, 'sqs', 'redis', 'd'),
      ],
    },
    {
      title: 'The checkout moves',
      cases: [
        migrationCase(ends, 'redis', 'kafka', 'consumers', 'a'),
        migrationCase(ends, 'redis', 'kafka', 'producers', 'b'),
      ],
    },
  ]
}
