import { databaseJobStore } from '@waybill/jobs'
import { postgres } from '@waybill/postgres'
import type { JobContender } from '../job-contender.ts'
import { waybillQueue } from './waybill-queue.ts'

export const contender: JobContender = {
  guarantees:
    'Jobs in PostgreSQL, from where workers take them; data validated on both sides; a lease; history and result kept.',
  async setup({ postgres: url }) {
    const database = postgres({ url, schema: 'waybill_alone' })
    await database.migrate()
    const queue = await waybillQueue(undefined, databaseJobStore(database), 'bench')
    return {
      ...queue,
      async teardown() {
        await queue.teardown()
        await database.close()
      },
    }
  },
}
