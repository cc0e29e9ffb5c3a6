import { databaseJobStore } from '@waybill/jobs'
import { postgres } from '@waybill/postgres'
import type { JobContender } from '../job-contender.ts'
import { waybillQueue } from './waybill-queue.ts'

export const contender: JobContender = {
  guarantees:
    'Jobs in PostgreSQL, handed out within the process (`memory:`); data validated on both sides; a lease; history and result kept.',
  async setup({ postgres: url }) {
    const database = postgres({ url, schema: 'waybill_alone' })
    await database.migrate()
    // What a process was about to run when it ended is not to stand still for a minute of the next turn.
    const queue = await waybillQueue('memory:', databaseJobStore(database), 'bench', { resendAfter: '5s' })
    return {
      ...queue,
      async teardown() {
        await queue.teardown()
        await database.close()
      },
    }
  },
}
