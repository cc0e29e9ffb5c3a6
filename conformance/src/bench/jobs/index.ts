import type { Section } from '../../case/case.ts'
import { deadWorker, killedFlow, killedSchedulers, type ProgramOf } from './kills.ts'
import { isolation, lives } from './lives.ts'
import { killedUnderLoad } from './load/killed-under-load.ts'
import type { Servers } from './servers.ts'
import { fullMemory, storeTests } from './stores.ts'

/** What jobs promise over real brokers, in stores that are servers, with processes that are killed. */
export function jobSections(servers: Servers, program: ProgramOf): readonly Section[] {
  const pairs = (['redis', 'rabbitmq', 'kafka', 'sqs', 'no broker'] as const).flatMap((end) =>
    (['postgres', 'redis'] as const).map((kind) => ({ end, kind })),
  )
  return [
    { title: 'Stores', cases: [...storeTests(servers), fullMemory(servers)] },
    { title: 'What becomes of jobs', cases: pairs.map(({ end, kind }) => lives(servers, end, kind)) },
    {
      title: 'Work of its own',
      cases: [isolation(servers, 'rabbitmq', 'postgres'), isolation(servers, 'redis', 'redis')],
    },
    {
      title: 'Workers and schedulers that are killed',
      cases: [
        ...pairs.map(({ end, kind }) => deadWorker(servers, program, end, kind)),
        killedFlow(servers, program, ['redis', 'kafka'], 'postgres'),
        killedFlow(servers, program, ['rabbitmq', 'sqs'], 'redis'),
        killedSchedulers(servers, program, 'postgres'),
        killedSchedulers(servers, program, 'redis'),
        ...(['redis', 'no broker'] as const).flatMap((end) =>
          (['postgres', 'redis'] as const).map((kind) => killedUnderLoad(servers, end, kind)),
        ),
      ],
    },
  ]
}
