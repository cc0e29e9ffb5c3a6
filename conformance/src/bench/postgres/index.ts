import type { Section } from '../../case/case.ts'
import { answerAndTimeout } from './answer-and-timeout.ts'
import { databaseCases } from './database-cases.ts'
import { eventStoreCases } from './event-store-cases.ts'
import { exampleCases } from './example-cases.ts'
import { inboxKills } from './inbox-kills.ts'
import { libraryCases } from './library-cases.ts'
import { relayKills, relayStandsStill } from './relay-kills.ts'
import { rivals } from './rivals.ts'
import type { Servers } from './servers.ts'
import { standby } from './standby-case.ts'
import { transactionCases } from './transaction-cases.ts'

export function postgresSections(servers: Servers): readonly Section[] {
  return [
    {
      title: 'A real database',
      cases: [
        ...databaseCases(servers),
        ...eventStoreCases(servers),
        rivals(servers),
        ...transactionCases(servers),
        ...libraryCases(servers),
        answerAndTimeout(servers),
        standby(servers),
      ],
    },
    {
      title: 'Killed processes',
      cases: [
        inboxKills(servers),
        relayKills(servers, 'rabbitmq', 'a'),
        relayKills(servers, 'kafka', 'b'),
        relayStandsStill(servers),
        ...exampleCases(servers),
      ],
    },
  ]
}
